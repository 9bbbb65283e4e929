# SPDX-License-Identifier: MIT
# Install rules: the libraries, the public headers, the command, a CMake package and relocatable
# pkg-config files.
include(CMakePackageConfigHelpers)

set(weir_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
set(installed "")
foreach(target IN ITEMS libweir libweir-host)
    if(TARGET ${target})
        list(APPEND installed ${target})
    endif()
endforeach()
if(NOT installed)
    return()
endif()

install(TARGETS ${installed}
    EXPORT weir-targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT weir-targets NAMESPACE weir:: DESTINATION ${weir_package_dir})

configure_package_config_file(cmake/weir-config.cmake.in ${PROJECT_BINARY_DIR}/weir-config.cmake
    INSTALL_DESTINATION ${weir_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weir-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/weir-config.cmake
              ${PROJECT_BINARY_DIR}/weir-config-version.cmake
    DESTINATION ${weir_package_dir})

# The prefix is found from where the .pc file lies, so that an installed tree may be moved.
cmake_path(SET pc_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${pc_dir} OUTPUT_VARIABLE pc_prefix)
set(weir_host_also "")
if(XDP_FOUND)
    string(APPEND weir_host_also " libxdp libbpf")
endif()
if(URING_FOUND)
    string(APPEND weir_host_also " liburing")
endif()
foreach(package IN ITEMS weir weir-host)
    configure_file(cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${package}.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

if(TARGET weir)
    install(TARGETS weir RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
