# SPDX-License-Identifier: MIT
# libweir-packetdrill.so, the object for packetdrill's --so_filename and LD_PRELOAD, and the commands
# that its scripts find in packetdrill/bin. The core is compiled once more for it: position
# independent, and with nothing visible but what the object is for.

weir_sources(adapter_sources drill/adapter)
list(FILTER adapter_sources EXCLUDE REGEX "/drill/adapter/tool/")
add_library(weir-packetdrill MODULE
    ${adapter_sources}
    drill/dr_command.c
    drill/dr_control.c
    drill/dr_epoll.c
    drill/dr_pipe.c
    drill/dr_table.c
    drill/dr_world.c
    ${core_sources})
weir_settings(weir-packetdrill)
if(TARGET weir-profile)
    add_dependencies(weir-packetdrill weir-profile) # the core's sources say so, though they are compiled without it here
endif()
set_target_properties(weir-packetdrill PROPERTIES
    C_EXTENSIONS ON
    C_VISIBILITY_PRESET hidden
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/packetdrill)
target_compile_definitions(weir-packetdrill PRIVATE _GNU_SOURCE)
target_include_directories(weir-packetdrill PRIVATE
    ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(weir-packetdrill PRIVATE PkgConfig::SODIUM Threads::Threads)

add_executable(weir-packetdrill-tool drill/adapter/tool/pd_tool.c)
weir_settings(weir-packetdrill-tool)
set_target_properties(weir-packetdrill-tool PROPERTIES
    C_EXTENSIONS ON
    OUTPUT_NAME sysctl
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/packetdrill/bin)
foreach(name IN ITEMS ip tc nstat ethtool)
    add_custom_command(TARGET weir-packetdrill-tool POST_BUILD
        COMMAND ${CMAKE_COMMAND} -E create_symlink sysctl
            ${PROJECT_BINARY_DIR}/packetdrill/bin/${name})
endforeach()
