# SPDX-License-Identifier: Apache-2.0
#
# Sets SLUICE_VERSION (as git describes the checkout, or the number alone in a
# tree without git) and SLUICE_VERSION_NUMBER (for project()).

set(SLUICE_VERSION_NUMBER 0.1.0)
set(SLUICE_VERSION ${SLUICE_VERSION_NUMBER})
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(
    COMMAND ${GIT_EXECUTABLE} describe --tags --always --dirty
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed AND described)
    set(SLUICE_VERSION "${SLUICE_VERSION_NUMBER}+${described}")
  endif()
endif()
