# SPDX-License-Identifier: Apache-2.0
#
# sluice_add_bpf(<name> <source>)
#
# Compiles <source> for the BPF target and turns it into a skeleton. Gives a
# library <name>_skel: link it and include "<name>.skel.h"; the object itself is
# <name>.bpf.o in the current build folder.

find_program(BPF_CLANG NAMES clang-19 clang-18 clang REQUIRED)
find_program(BPFTOOL bpftool PATHS /usr/sbin REQUIRED)

function(sluice_add_bpf name source)
  set(obj ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skel ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)

  add_custom_command(
    OUTPUT ${obj}
    COMMAND ${BPF_CLANG} --target=bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror
            -I${PROJECT_SOURCE_DIR} -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${obj}.d -MT ${obj}
            -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${obj}
    DEPENDS ${source}
    DEPFILE ${obj}.d
    COMMENT "BPF ${name}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${skel}
    COMMAND ${BPFTOOL} gen skeleton ${obj} name ${name} > ${skel}
    DEPENDS ${obj}
    VERBATIM)
  add_custom_target(${name}_gen DEPENDS ${skel})

  add_library(${name}_skel INTERFACE)
  add_dependencies(${name}_skel ${name}_gen)
  target_include_directories(${name}_skel SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(${name}_skel INTERFACE PkgConfig::BPF)
endfunction()
