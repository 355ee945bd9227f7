/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changes an input a little, in a way that depends on nothing but the seed. */

#include <stddef.h>
#include <stdint.h>

#define INPUT_MAX 65536

struct input {
	uint8_t data[INPUT_MAX];
	size_t len;
};

/* Never 0. */
struct dice {
	uint64_t state;
};

/* A number from 0 ... n - 1; n is not 0. */
size_t dice_roll(struct dice *dice, size_t n);

/* Changes `input` in some places; `other` gives parts to take over. */
void mutate(struct input *input, const struct input *other, struct dice *dice);
