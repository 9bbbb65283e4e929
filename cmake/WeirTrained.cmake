# SPDX-License-Identifier: MIT
# WEIR_TRAINED: the libraries are compiled with a profile of what they do. They are compiled twice: first so that they
# count, for a program that puts them to work (bench/train/train.c), then with what was counted, by which the compiler
# lays out what is met and leaves the rest apart.
#
#     sources -> counting copies -> weir-train -> profiles, one a source file -> libweir, libweir-host
#
# All of that are steps of one build, so that a changed source has the training done again; a file is compiled again
# when its own profile has changed. GCC looks for a profile beside the object, named as it is, and that is where they are
# put. The training has virtual time and fixed seeds: the same sources give the same profiles.
#
# As a script (cmake -P) it trains: -DTRAIN=program -DFROM=folder;... -DTO=folder;... -DSTAMP=file. Each folder of FROM
# has the objects of a counting copy, that of TO those of the library.

if(CMAKE_SCRIPT_MODE_FILE)
    foreach(from IN LISTS FROM)
        file(GLOB_RECURSE old ${from}/*.gcda)
        foreach(profile IN LISTS old)
            file(REMOVE ${profile}) # or it would be added to
        endforeach()
    endforeach()
    execute_process(COMMAND ${TRAIN} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "training: ${TRAIN}: ${result}")
    endif()
    foreach(from to IN ZIP_LISTS FROM TO)
        file(GLOB_RECURSE profiles RELATIVE ${from} ${from}/*.gcda)
        if(NOT profiles)
            message(FATAL_ERROR "training: ${TRAIN} left no profile in ${from}")
        endif()
        foreach(profile IN LISTS profiles)
            string(REGEX REPLACE "^(__/)+" "" name ${profile}) # for CMake a source of another folder
            cmake_path(GET name PARENT_PATH folder)
            file(MAKE_DIRECTORY ${to}/${folder})
            file(COPY_FILE ${from}/${profile} ${to}/${name} ONLY_IF_DIFFERENT)
        endforeach()
    endforeach()
    file(TOUCH ${STAMP})
    return()
endif()

set(weir_no_training "")
get_property(weir_many_configs GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU" OR CMAKE_C_COMPILER_VERSION VERSION_LESS 11)
    set(weir_no_training "it needs GCC 11; this is ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
elseif(CMAKE_CROSSCOMPILING)
    set(weir_no_training "what is built here cannot be run here")
elseif(weir_many_configs)
    set(weir_no_training "${CMAKE_GENERATOR} has several configurations in one build")
elseif(WEIR_SANITIZE OR WEIR_COVER OR WEIR_HARD OR WEIR_FUZZ)
    set(weir_no_training "this build is for tests")
endif()
if(weir_no_training)
    message(STATUS "WEIR_TRAINED is left out: ${weir_no_training}")
    return()
endif()

set(WEIR_TRAINED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
# Functions are known by their numbers, which are the same in both copies; GCC's names for static ones have the object's
# name in them, which is not. Values are not counted: among them are addresses, which are others in each run.
set(weir_profile_flags --param=profile-func-internal-id=1 -fno-profile-values)
set(WEIR_COUNTING_FLAGS -fprofile-generate -fprofile-update=single ${weir_profile_flags})
# A function that the training never entered is compiled as without a profile, not for size alone.
set(WEIR_TRAINED_FLAGS -fprofile-use -fprofile-partial-training ${weir_profile_flags})
# Whoever is optimised as a whole: what -O2 allows to be put in line is meant for a compiler that does not know what is
# hot. With a profile only what is hot grows by it (bench/README.md, "trained").
set(WEIR_TRAINED_INLINE_FLAGS --param=max-inline-insns-auto=60 --param=inline-min-speedup=10
    --param=inline-heuristics-hint-percent=600)
# For whole programs: what is beyond these thousandths of all that is executed is compiled for size. GCC's 990 leaves out
# recoveries.
set(WEIR_TRAINED_LINK_FLAGS --param=hot-bb-count-ws-permille=999)

# weir_trained(library...): they use profiles from now on.
function(weir_trained)
    set(folders "")
    set(profiles "")
    foreach(library IN LISTS ARGN)
        set(folder ${PROJECT_BINARY_DIR}/CMakeFiles/${library}.dir)
        get_target_property(sources ${library} SOURCES)
        foreach(source IN LISTS sources)
            cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE name)
            set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS ${folder}/${name}.gcda)
            list(APPEND profiles ${folder}/${name}.gcda)
        endforeach()
        target_compile_options(${library} PRIVATE ${WEIR_TRAINED_FLAGS} ${WEIR_TRAINED_INLINE_FLAGS})
        list(APPEND folders ${folder})
    endforeach()
    set(WEIR_TRAINED_LIBRARIES ${ARGN})
    set(WEIR_TRAINED_FOLDERS ${folders})
    set(WEIR_TRAINED_PROFILES ${profiles})
    # A folder of its own, since what is set on a source file holds for a folder: there it depends on no profile.
    add_subdirectory(bench/train)
    foreach(library IN LISTS ARGN)
        add_dependencies(${library} weir-profile)
    endforeach()
endfunction()
