# SPDX-License-Identifier: MIT
# What `weir lab` has beyond code: its scenarios and the page of its reports, which become a part of the command,
# and two libraries that it can be built without (it then says so when it is asked): dygraphs for the charts, libjq
# for assertions.
include(cmake/WeirEmbed.cmake)

file(GLOB lab_assets CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/lab/scenarios/*.lab
    ${PROJECT_SOURCE_DIR}/lab/report/*.html
    ${PROJECT_SOURCE_DIR}/lab/report/*.css
    ${PROJECT_SOURCE_DIR}/lab/report/*.js)

set(dygraphs_folders /usr/share/javascript/dygraphs /usr/share/nodejs/dygraphs/dist)
find_file(WEIR_DYGRAPHS_JS dygraph.min.js PATHS ${dygraphs_folders} PATH_SUFFIXES dist)
find_file(WEIR_DYGRAPHS_CSS dygraph.min.css PATHS ${dygraphs_folders} PATH_SUFFIXES dist)
find_file(WEIR_DYGRAPHS_SYNC synchronizer.js PATHS ${dygraphs_folders} PATH_SUFFIXES extras src/extras)
mark_as_advanced(WEIR_DYGRAPHS_JS WEIR_DYGRAPHS_CSS WEIR_DYGRAPHS_SYNC)
if(WEIR_DYGRAPHS_JS AND WEIR_DYGRAPHS_CSS AND WEIR_DYGRAPHS_SYNC)
    list(APPEND lab_assets ${WEIR_DYGRAPHS_JS} ${WEIR_DYGRAPHS_CSS} ${WEIR_DYGRAPHS_SYNC})
else()
    message(STATUS "weir lab --html is left out: it needs libjs-dygraphs")
endif()
weir_embed(weir ${lab_assets})

find_path(WEIR_JQ_INCLUDE jq.h)
find_library(WEIR_JQ_LIBRARY jq)
mark_as_advanced(WEIR_JQ_INCLUDE WEIR_JQ_LIBRARY)
if(WEIR_JQ_INCLUDE AND WEIR_JQ_LIBRARY)
    target_compile_definitions(weir PRIVATE WEIR_HAS_JQ=1)
    target_include_directories(weir SYSTEM PRIVATE ${WEIR_JQ_INCLUDE})
    target_link_libraries(weir PRIVATE ${WEIR_JQ_LIBRARY})
else()
    message(STATUS "weir lab --check is left out: it needs libjq-dev")
endif()
