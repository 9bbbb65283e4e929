# SPDX-License-Identifier: MIT
# Files that become a part of a program. weir_embed(target prefix file...) makes a C file with the table
# that cli/labscene.h declares, anew whenever one of the files changes. As a script (cmake -P) it writes that
# C file: -DOUT=file.c -DFILES=a;b.

if(CMAKE_SCRIPT_MODE_FILE)
    set(arrays "")
    set(rows "")
    set(n 0)
    foreach(file IN LISTS FILES)
        file(READ ${file} hex HEX)
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
        string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
        cmake_path(GET file FILENAME name)
        string(APPEND arrays "static const unsigned char asset${n}[] = {\n${bytes}0};\n")
        string(APPEND rows "    {\"${name}\", asset${n}, sizeof asset${n} - 1},\n")
        math(EXPR n "${n} + 1")
    endforeach()
    file(WRITE ${OUT} "#include \"cli/labscene.h\"\n\n${arrays}\n"
        "const struct lab_asset wr_lab_assets[] = {\n${rows}    {NULL, NULL, 0},\n};\n")
    return()
endif()

set(WEIR_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(weir_embed target)
    set(out ${PROJECT_BINARY_DIR}/lab_assets.c)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DOUT=${out} "-DFILES=${ARGN}" -P ${WEIR_EMBED_SCRIPT}
        DEPENDS ${ARGN} ${WEIR_EMBED_SCRIPT}
        VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()
