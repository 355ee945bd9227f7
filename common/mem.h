/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include <stdlib.h>
#include <unistd.h>

/*
 * Scope-bound ownership. A local that owns something says so where it is
 * declared and is always initialised; sl_take() marks the line where the
 * ownership leaves the function.
 */
#define sl_auto(type) __attribute__((cleanup(type##_freep))) struct type *
#define sl_auto_mem   __attribute__((cleanup(sl_mem_freep)))
#define sl_auto_fd    __attribute__((cleanup(sl_fd_closep)))

#define sl_take(p)                                                                                 \
	({                                                                                         \
		__typeof__(p) took_ = (p);                                                         \
		(p) = NULL;                                                                        \
		took_;                                                                             \
	})

#define sl_take_fd(fd)                                                                             \
	({                                                                                         \
		int took_ = (fd);                                                                  \
		(fd) = -1;                                                                         \
		took_;                                                                             \
	})

/* Gives `type` the function behind sl_auto(type). */
#define SL_DEFINE_AUTO(type)                                                                       \
	static inline void type##_freep(struct type **p)                                           \
	{                                                                                          \
		type##_free(*p);                                                                   \
	}

static inline void sl_mem_freep(void *p)
{
	free(*(void **)p);
}

/* -1 means closed. */
static inline void sl_fd_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define SL_COUNT(array) (sizeof(array) / sizeof((array)[0]))
