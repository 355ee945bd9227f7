/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * What a socket is connected or sends to, for each family: the stages of a
 * first packet, and the memory in `sockets`.
 *
 * `p` has the tuple that the process asked for in its key. Its source is the
 * address that the socket is bound to, else the node's: source ranges and
 * affinity see that one.
 */

static __always_inline void F(socket_key)(struct sl_socket *key, __u64 cookie, const __be32 *addr,
					  __be16 port, __u8 proto)
{
	*key = (struct sl_socket) {
		.cookie = cookie,
		.port = port,
		.proto = proto,
		.family = FAMILY,
	};
	copy_addr(key->addr.w, addr);
}

/*
 * Writes what was asked for. An entry that finds no room costs the answers
 * their name, not the connection.
 */
__noinline int F(sock_remember)(struct pkt *p, __u64 cookie, int connected)
{
	struct sl_socket key;
	struct sl_asked asked;

	if (!p)
		return SL_DROP_BUG;
	asked = (struct sl_asked) {
		.port = p->F(key).dport,
		.connected = connected,
		.kind = p->kind,
		.service = p->service,
		.backend = p->backend,
		.generation = p->generation,
	};
	copy_addr(asked.addr.w, p->F(key).daddr);
	F(socket_key)(&key, cookie, p->to.F(daddr), p->to.dport, p->F(key).proto);
	bpf_map_update_elem(&sockets, &key, &asked, BPF_ANY);
	if (p->F(key).proto == IPPROTO_UDP) {
		F(socket_key)(&key, cookie, p->F(key).daddr, p->F(key).dport, p->F(key).proto);
		bpf_map_update_elem(&sockets, &key, &asked, BPF_ANY);
	}
	return SL_NEXT;
}

/*
 * SL_FORWARD if a datagram goes where the socket's last one to this frontend
 * went, which it does as long as that backend lives; else SL_NEXT.
 */
__noinline int F(sock_recall)(struct pkt *p, __u64 cookie)
{
	struct sl_socket key;
	struct sl_asked *asked;
	struct sl_backend *backend;
	int connected;
	__u64 word;
	__u32 id;

	if (!p)
		return SL_DROP_BUG;
	F(socket_key)(&key, cookie, p->F(key).daddr, p->F(key).dport, p->F(key).proto);
	asked = bpf_map_lookup_elem(&sockets, &key);
	if (!asked)
		return SL_NEXT;
	p->service = asked->service;
	p->kind = asked->kind;
	p->backend = asked->backend;
	p->generation = asked->generation;
	connected = asked->connected;
	/* Last, since the entry may be recycled under us; and an entry may be
	 * that of a backend which is at an address of another frontend. */
	barrier();
	if (asked->port != p->F(key).dport || !same_addr(asked->addr.w, p->F(key).daddr))
		return SL_NEXT;

	id = p->backend;
	backend = bpf_map_lookup_elem(&backends, &id);
	if (!backend)
		return SL_NEXT;
	word = *(volatile __u64 *)&backend->word;
	if (SL_BACKEND_GENERATION(word) != p->generation ||
	    SL_BACKEND_STATE(word) != SL_BACKEND_LIVE)
		return SL_NEXT;
	copy_addr(p->to.F(daddr), backend->addr.w);
	p->to.dport = backend->port;

	/* The entry for answers must not be older in the table than this one. */
	F(socket_key)(&key, cookie, p->to.F(daddr), p->to.dport, p->F(key).proto);
	asked = bpf_map_lookup_elem(&sockets, &key);
	if (!asked || asked->port != p->F(key).dport || !same_addr(asked->addr.w, p->F(key).daddr))
		F(sock_remember)(p, cookie, connected);
	return SL_FORWARD;
}

/* SL_FORWARD with the backend in `p`, or what becomes of it without one. */
static __always_inline enum sl_verdict F(sock_pick)(struct pkt *p, __u64 cookie, int connected)
{
	enum sl_verdict v = F(filter_ingress)(p);

	if (likely(v == SL_LEAVE))
		return unlikely(F(is_unallocated)(p)) ? SL_DROP_UNALLOCATED : v;
	if (!connected && F(sock_recall)(p, cookie) == SL_FORWARD)
		return SL_FORWARD;
	if (unlikely(hands_back()))
		return SL_LEAVE;
	/* What a failed recall left is not the frontend's. */
	p->service = 0;
	p->kind = 0;
	p->hash = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	p->now = ticks();
	v = F(choose)(p);
	if (v != SL_NEXT)
		return v;
	F(sock_remember)(p, cookie, connected);
	count_connection(p);
	return SL_FORWARD;
}

/* Takes the address of the node where the socket has none. */
static __always_inline void F(sock_source)(struct pkt *p, const __be32 *bound)
{
	__u32 zero = 0;
	struct sl_node *n = bpf_map_lookup_elem(&node, &zero);
	const __be32 none[4] = {};

	if (n && same_addr(bound, none))
		copy_addr(p->F(key).saddr, n->F(addr));
	else
		copy_addr(p->F(key).saddr, bound);
}

/* Puts what the socket asked for in the place of a backend's address and port. */
static __always_inline void F(sock_restore)(__u64 cookie, __u8 proto, __be32 *addr, __be16 *port)
{
	struct sl_socket key;
	struct sl_asked *asked;

	F(socket_key)(&key, cookie, addr, *port, proto);
	asked = bpf_map_lookup_elem(&sockets, &key);
	if (!asked)
		return;
	copy_addr(addr, asked->addr.w);
	*port = asked->port;
}
