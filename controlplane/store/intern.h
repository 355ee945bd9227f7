/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One copy of each string that many objects repeat. Counted: every
 * intern_get() needs one intern_put(). Not for more than one thread.
 */

/* The shared copy of `text`; NULL when there is no memory, or `text` is NULL. */
const char *intern_get(const char *text);

/* Gives back what intern_get() gave. Takes NULL too. */
void intern_put(const char *text);
