/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* Looking up frontends, for each family. */

/* The value of a frontend, or 0. An element recycled under us has another tag. */
static __always_inline __u64 F(frontend_at)(const struct F(sl_frontend) * key)
{
	__u32 tag = sl_frontend_tag(key->addr, WORDS, key->port, key->proto) & 0xffffff;
	__u64 *value, v;

	for (int i = 0; i < 2; i++) {
		value = bpf_map_lookup_elem(&F(frontends), key);
		if (!value)
			return 0;
		v = *(volatile __u64 *)value;
		if (SL_FRONTEND_TAG(v) == tag)
			return v;
	}
	return 0;
}
