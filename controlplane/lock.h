/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Takes the lock of an instance, RUN_DIR/INSTANCE.lock, for the life of the
 * process: two daemons of one name would write the same maps. The folder is
 * made if it is missing.
 *
 * Returns a descriptor to keep open, or, with the reason in `error`, -EBUSY
 * (naming the process that holds it) or what the kernel said.
 */
int lock_take(const char *run_dir, const char *instance, char *error, size_t error_len);
