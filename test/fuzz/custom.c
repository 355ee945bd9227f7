/* SPDX-License-Identifier: Apache-2.0 */

/* Lets libFuzzer make half of its inputs as driver.c does: by the fuzzer's words
 * and the structure of JSON. */

#include <string.h>

#include "fuzz.h"
#include "mutate.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static struct input input;
	struct dice dice = { .state = seed * 0x9e3779b97f4a7c15ULL | 1 };

	if (size > sizeof(input.data) || dice_roll(&dice, 2))
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(input.data, data, size);
	input.len = size;
	mutate(&input, &input, &dice);
	if (input.len > max_size)
		input.len = max_size;
	memcpy(data, input.data, input.len);
	return input.len;
}
