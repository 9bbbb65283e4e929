# SPDX-License-Identifier: MIT
# How Weir's own targets are compiled. Everything is set on targets, so that a project that adds
# Weir as a subdirectory keeps its own flags.

set(WEIR_WARN -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes)
# Libraries must not define a global function that no header declares.
set(WEIR_WARN_LIBRARY -Wmissing-prototypes)

if(WEIR_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "WEIR_FUZZ needs clang (libFuzzer); this is ${CMAKE_C_COMPILER_ID}")
endif()

if(WEIR_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT WEIR_LTO_WORKS OUTPUT weir_lto_output LANGUAGES C)
    if(NOT WEIR_LTO_WORKS)
        message(STATUS "link-time optimisation does not work here: ${weir_lto_output}")
    endif()
endif()

# weir_sources(VAR folder...): the C files below the folders of this project.
function(weir_sources var)
    set(found "")
    foreach(folder IN LISTS ARGN)
        file(GLOB_RECURSE here CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.c)
        list(APPEND found ${here})
    endforeach()
    set(${var} ${found} PARENT_SCOPE)
endfunction()

# weir_headers(VAR folder): the headers of one folder.
function(weir_headers var folder)
    file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.h)
    set(${var} ${found} PARENT_SCOPE)
endfunction()

# weir_settings(target [WHOLE]): language level, warnings, sanitizers, instrumentation. WHOLE: with WEIR_LTO it is
# optimised, or a library to be optimised, with what it is linked with. That takes its time, so it is for what ships
# and what is measured; the others link the same archives as they are.
function(weir_settings target)
    set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON)
    target_compile_options(${target} PRIVATE
        "$<$<COMPILE_LANGUAGE:C>:${WEIR_WARN}>"
        $<$<NOT:$<CONFIG:Release,MinSizeRel>>:-fno-omit-frame-pointer>)
    if(WEIR_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(WEIR_CHECK)
        target_compile_definitions(${target} PRIVATE WEIR_CHECK=1)
    endif()
    if(WEIR_HARD)
        target_compile_definitions(${target} PRIVATE WEIR_HARD=1)
    endif()
    if(NOT WEIR_SHORT_WAYS)
        target_compile_definitions(${target} PRIVATE WR_SHORT_WAYS=0)
    endif()
    if(WEIR_SANITIZE)
        target_compile_options(${target} PRIVATE
            -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
        target_link_options(${target} PRIVATE -fsanitize=${WEIR_SANITIZE})
    endif()
    if(WEIR_FUZZ)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    if(WEIR_COVER)
        target_compile_options(${target} PRIVATE --coverage)
        target_link_options(${target} PRIVATE --coverage)
    endif()
    if(NOT WEIR_LTO_WORKS)
        return()
    endif()
    if("WHOLE" IN_LIST ARGN)
        set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
        if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
            # The archives must also serve whoever links them without LTO.
            target_compile_options(${target} PRIVATE -ffat-lto-objects)
            # cmake/WeirTrained.cmake
            target_compile_options(${target} PRIVATE ${WEIR_TRAINED_INLINE_FLAGS})
            target_link_options(${target} PRIVATE ${WEIR_TRAINED_LINK_FLAGS})
        endif()
    elseif(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_link_options(${target} PRIVATE -fno-lto)
    endif()
endfunction()

# weir_internal_library(target folder): a static library that is not installed and may see src/.
function(weir_internal_library target folder)
    weir_sources(sources ${folder})
    list(FILTER sources EXCLUDE REGEX "/drill/adapter/") # cmake/WeirPacketdrill.cmake
    if(NOT sources OR NOT TARGET libweir)
        return()
    endif()
    add_library(${target} STATIC ${sources})
    weir_settings(${target})
    set_target_properties(${target} PROPERTIES C_EXTENSIONS ON)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
    target_compile_options(${target} PRIVATE ${WEIR_WARN_LIBRARY})
    if(TARGET libweir-host)
        target_link_libraries(${target} PUBLIC libweir-host)
    endif()
    target_link_libraries(${target} PUBLIC libweir)
    target_link_libraries(${target} PUBLIC PkgConfig::JANSSON)
endfunction()

# weir_link_all(target): everything there is, for the command and the tests. Headers are named by
# their folder ("drill/drill.h").
function(weir_link_all target)
    foreach(library IN ITEMS weir-sight weir-run weir-drill weir-lab libweir-host libweir)
        if(TARGET ${library})
            target_link_libraries(${target} PRIVATE ${library})
        endif()
    endforeach()
    target_link_libraries(${target} PRIVATE PkgConfig::JANSSON)
    target_link_libraries(${target} PRIVATE Threads::Threads)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
    set_target_properties(${target} PROPERTIES C_EXTENSIONS ON)
endfunction()

# weir_programs(folder pattern): one program a file, with the public headers (benchmarks: src too).
function(weir_programs folder pattern)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/${pattern})
    if(NOT TARGET libweir-host)
        return()
    endif()
    set(whole "")
    if(folder STREQUAL "bench")
        set(whole WHOLE)
    endif()
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM stem)
        if(folder STREQUAL "examples")
            set(target example-${stem})
        else()
            set(target ${stem})
        endif()
        add_executable(${target} ${source})
        if(folder STREQUAL "bench")
            # A benchmark may measure one function alone.
            target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
        endif()
        weir_settings(${target} ${whole})
        set_target_properties(${target} PROPERTIES
            C_EXTENSIONS ON
            OUTPUT_NAME ${stem}
            RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
        target_link_libraries(${target} PRIVATE libweir-host libweir Threads::Threads)
    endforeach()
endfunction()

# weir_program_library(target header library package): a benchmark or example that needs somebody else's library is
# built where that is installed.
function(weir_program_library target header library package)
    if(NOT TARGET ${target})
        return()
    endif()
    find_path(${library}_INCLUDE ${header} PATH_SUFFIXES ${library})
    find_library(${library}_LIBRARY ${library})
    mark_as_advanced(${library}_INCLUDE ${library}_LIBRARY)
    if(${library}_INCLUDE AND ${library}_LIBRARY)
        target_include_directories(${target} SYSTEM PRIVATE ${${library}_INCLUDE})
        target_link_libraries(${target} PRIVATE ${${library}_LIBRARY})
    else()
        message(STATUS "${target} is not built: it needs ${package}")
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
endfunction()
