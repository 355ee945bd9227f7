/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

#include "common/drop.h"

#include <stddef.h>

const char *sl_verdict_name(unsigned int verdict)
{
	static const char *const names[] = {
#define X(name, text) text,
		SL_VERDICTS(X)
#undef X
	};

	return verdict < SL_VERDICT_MAX ? names[verdict] : NULL;
}
