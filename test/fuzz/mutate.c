/* SPDX-License-Identifier: Apache-2.0 */

#include "mutate.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"

/* xorshift64* */
static uint64_t roll(struct dice *dice)
{
	dice->state ^= dice->state >> 12;
	dice->state ^= dice->state << 25;
	dice->state ^= dice->state >> 27;
	return dice->state * 0x2545f4914f6cdd1dULL;
}

size_t dice_roll(struct dice *dice, size_t n)
{
	return (size_t)((roll(dice) >> 33) % n);
}

/* Puts `bytes` in the place of `len` bytes at `at`, if there is room. */
static void replace(struct input *input, size_t at, size_t len, const void *bytes, size_t n)
{
	if (input->len - len + n > INPUT_MAX)
		return;
	memmove(input->data + at + n, input->data + at + len, input->len - at - len);
	memcpy(input->data + at, bytes, n);
	input->len += n - len;
}

static void flip_bit(struct input *input, struct dice *dice)
{
	input->data[dice_roll(dice, input->len)] ^= (uint8_t)(1 << dice_roll(dice, 8));
}

static void set_byte(struct input *input, struct dice *dice)
{
	static const char bytes[] = "\0\xff\x7f\x80 \t\n\r{}[]:,\"'\\-+.0123456789#&*!|>%@`?a~";

	input->data[dice_roll(dice, input->len)] = (uint8_t)bytes[dice_roll(dice, sizeof(bytes))];
}

static void remove_some(struct input *input, struct dice *dice)
{
	size_t at = dice_roll(dice, input->len), left = input->len - at;
	size_t most = left < 32 ? left : 32;

	replace(input, at, 1 + dice_roll(dice, most), "", 0);
}

/* Copies a piece of `from` to anywhere in `input`. */
static void splice(struct input *input, const struct input *from, struct dice *dice)
{
	uint8_t piece[256];
	size_t at, n;

	if (!from->len)
		return;
	at = dice_roll(dice, from->len);
	n = from->len - at < sizeof(piece) ? from->len - at : sizeof(piece);
	n = 1 + dice_roll(dice, n);
	memcpy(piece, from->data + at, n);
	replace(input, dice_roll(dice, input->len + 1), 0, piece, n);
}

static bool is_word(uint8_t c)
{
	return isalnum(c) || c == '.' || c == '/' || c == '-' || c == '_';
}

/* Finds the run of word characters around a random place. */
static bool find_word(const struct input *input, struct dice *dice, size_t *ret_at, size_t *ret_len)
{
	size_t at = dice_roll(dice, input->len), end;

	if (!is_word(input->data[at]))
		return false;
	for (end = at; end < input->len && is_word(input->data[end]);)
		end++;
	while (at > 0 && is_word(input->data[at - 1]))
		at--;
	*ret_at = at;
	*ret_len = end - at;
	return true;
}

static void put_word(struct input *input, struct dice *dice)
{
	size_t n = 0, at, len;

	while (fuzz_words[n])
		n++;
	if (!n || !find_word(input, dice, &at, &len))
		return;

	const char *word = fuzz_words[dice_roll(dice, n)];
	replace(input, at, len, word, strlen(word));
}

/* One word of the input in the place of another one. */
static void copy_word(struct input *input, struct dice *dice)
{
	uint8_t word[256];
	size_t from, from_len, to, to_len;

	if (!find_word(input, dice, &from, &from_len) || !find_word(input, dice, &to, &to_len))
		return;
	if (from_len > sizeof(word))
		from_len = sizeof(word);
	memcpy(word, input->data + from, from_len);
	replace(input, to, to_len, word, from_len);
}

/* Doubles or removes what lies between brackets, with a comma that stays right. */
static void nest(struct input *input, struct dice *dice)
{
	static uint8_t piece[4096];
	size_t at = dice_roll(dice, input->len), end = at;
	int depth = 0;

	while (at < input->len && input->data[at] != '{' && input->data[at] != '[')
		at++;
	for (end = at; end < input->len; end++) {
		uint8_t c = input->data[end];

		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (depth == 0)
			break;
	}
	if (end >= input->len)
		return;
	end++;
	if (end - at + 1 > sizeof(piece))
		return;
	memcpy(piece, input->data + at, end - at);
	piece[end - at] = ',';
	if (dice_roll(dice, 2))
		replace(input, at, 0, piece, end - at + 1);
	else
		replace(input, at, end - at, "null", 4);
}

void mutate(struct input *input, const struct input *other, struct dice *dice)
{
	for (size_t left = 1 + dice_roll(dice, 6); left > 0; left--) {
		if (input->len == 0) {
			splice(input, other, dice);
			continue;
		}
		switch (dice_roll(dice, 9)) {
		case 0:
			flip_bit(input, dice);
			break;
		case 1:
			set_byte(input, dice);
			break;
		case 2:
			remove_some(input, dice);
			break;
		case 3:
			splice(input, other, dice);
			break;
		case 4:
			splice(input, input, dice);
			break;
		case 5:
			copy_word(input, dice);
			break;
		case 6:
			nest(input, dice);
			break;
		default:
			put_word(input, dice);
			break;
		}
	}
}
