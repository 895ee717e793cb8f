# What every target shares: language level, warnings, sanitizers, and the three target shapes
# (library, unit or integration test, fuzz target).

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(YZ_SANITIZER "" CACHE STRING "address (with undefined), thread, fuzzer, or empty")
option(YZ_WERROR "Treat warnings as errors (CI)" OFF)

add_library(yz_options INTERFACE)
target_include_directories(yz_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}
    ${PROJECT_SOURCE_DIR}/base/include)
target_compile_definitions(yz_options INTERFACE _GNU_SOURCE YZ_VERSION="${PROJECT_VERSION}")
target_compile_options(yz_options INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
    -Wwrite-strings -Wvla -Wformat=2 -Wcast-align -Wundef -Wswitch-enum
    -fno-common -fstack-protector-strong -fno-strict-aliasing -fno-omit-frame-pointer)
if(YZ_WERROR)
    target_compile_options(yz_options INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(yz_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(YZ_SANITIZER STREQUAL "address")
    set(flags -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elseif(YZ_SANITIZER STREQUAL "thread")
    set(flags -fsanitize=thread)
elseif(YZ_SANITIZER STREQUAL "fuzzer")
    set(flags -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
elseif(YZ_SANITIZER)
    message(FATAL_ERROR "YZ_SANITIZER must be address, thread, fuzzer or empty, not '${YZ_SANITIZER}'")
endif()
if(YZ_SANITIZER)
    add_compile_options(${flags})
    add_link_options(${flags})
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq>=4.3.4)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c>=1.4)
pkg_check_modules(FYAML REQUIRED IMPORTED_TARGET libfyaml>=0.7)
pkg_check_modules(MHD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(EXPAT REQUIRED IMPORTED_TARGET expat>=2.4)
find_library(LMDB_LIBRARY lmdb REQUIRED)
find_library(CSV_LIBRARY csv REQUIRED)

# What a sanitizer run builds instead of everything: the tests it runs, with the daemons they start.
add_custom_target(fast_tests)
add_custom_target(threaded_tests)

# yz_library(name SOURCES a.c b.c LINK other...): a folder's static library.
function(yz_library name)
    cmake_parse_arguments(A "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
    add_library(${name} STATIC ${A_SOURCES})
    target_link_libraries(${name} PUBLIC yz_options ${A_LINK} PRIVATE ${A_PRIVATE_LINK})
endfunction()

# yz_program(name SOURCES ... LINK ...): an installed program.
function(yz_program name)
    cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE yz_options ${A_LINK})
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    add_dependencies(fast_tests ${name})
    add_dependencies(threaded_tests ${name})
endfunction()

# yz_test(name SOURCES ... LINK ... [LABELS slow threaded] [TIMEOUT s]): a cmocka program for ctest.
# Labels: `threaded` tests also run under tsan; `slow` ones are left out under asan. TIMEOUT is for
# a plain build; a sanitizer gets four times as long. Exit code 77 is "skipped".
function(yz_test name)
    cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
    if(NOT BUILD_TESTING)
        return()
    endif()
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE yz_options ${A_LINK} PkgConfig::CMOCKA)
    target_compile_definitions(${name} PRIVATE
        YZ_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data" YZ_BIN_DIR="${PROJECT_BINARY_DIR}/bin")
    add_test(NAME ${name} COMMAND ${name})
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 120)
    endif()
    if(YZ_SANITIZER)
        math(EXPR A_TIMEOUT "${A_TIMEOUT} * 4")
    endif()
    if(NOT "slow" IN_LIST A_LABELS)
        add_dependencies(fast_tests ${name})
    endif()
    if("threaded" IN_LIST A_LABELS)
        add_dependencies(threaded_tests ${name})
    endif()
    # Of a group's teardown that failed, as when a daemon did not end well, cmocka's exit code is
    # silent; its words are not.
    set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT}
        LABELS "${A_LABELS}" SKIP_RETURN_CODE 77
        FAIL_REGULAR_EXPRESSION "FAILED  \\] GROUP")
    if(YZ_SANITIZER STREQUAL "thread")
        # The distribution's libraries are not instrumented.
        set(options halt_on_error=1 ignore_noninstrumented_modules=1
            suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp)
        list(JOIN options " " options)
        set_tests_properties(${name} PROPERTIES ENVIRONMENT "TSAN_OPTIONS=${options}")
    endif()
endfunction()

# yz_fuzz(name LINK ...): tests/fuzz/name.c defines LLVMFuzzerTestOneInput and names its target
# functions; its corpus is tests/fuzz/corpus/name/. Under the fuzz preset it is a libFuzzer program;
# otherwise a replay program that ctest runs over the corpus.
function(yz_fuzz name)
    cmake_parse_arguments(A "" "" "LINK" ${ARGN})
    if(NOT BUILD_TESTING)
        return()
    endif()
    set(dir ${PROJECT_SOURCE_DIR}/tests/fuzz)
    if(YZ_SANITIZER STREQUAL "fuzzer")
        add_executable(${name} ${dir}/${name}.c)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${name} ${dir}/${name}.c ${dir}/replay.c)
        add_test(NAME ${name} COMMAND ${name} ${dir}/corpus/${name})
        set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
        add_dependencies(fast_tests ${name})
    endif()
    target_link_libraries(${name} PRIVATE yz_options ${A_LINK})
endfunction()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
