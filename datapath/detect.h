/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* Who asks: pod traffic, this node, or anybody else; for each family. */

static __always_inline int F(in_prefix)(const __be32 *addr, const struct F(sl_prefix) * prefix)
{
	__be32 differs = 0;

	for (int i = 0; i < WORDS; i++)
		differs |= (addr[i] & prefix->mask[i]) ^ prefix->addr[i];
	return differs == 0;
}

/* S-130 */
static __always_inline int F(is_pod_traffic)(const struct pkt *p)
{
	struct sl_node *n = this_node();
	__u32 ifindex = p->ifindex;
	struct sl_iface *iface;

	if (!n)
		return 0;
	switch (SL_PASTE(n->detect, FAMILY)) {
	case SL_DETECT_SOURCE:
		return F(in_prefix)(p->F(key).saddr, &SL_PASTE(n->pods, FAMILY));
	case SL_DETECT_INTERFACE:
		if (p->hook == HOOK_SOCKET)
			return 0;
		iface = bpf_map_lookup_elem(&ifaces, &ifindex);
		return iface && iface->pod_traffic;
	default:
		return 0;
	}
}

/* An address that stands for no single host: unspecified, loopback, or a group. */
static __always_inline int F(is_no_host)(const __be32 *addr)
{
	__u32 first = bpf_ntohl(addr[0]);

	if (FAMILY == 4)
		return first == 0 || first >> 24 == 127 || first >> 28 == 0xe || first == ~0U;
	return first >> 24 == 0xff ||
	       (first == 0 && addr[1] == 0 && addr[2] == 0 && bpf_ntohl(addr[3]) <= 1);
}

/*
 * A source that what comes in can't have, a martian to the kernel: nobody's, or
 * this node's. Redirected or answered, it would never meet the kernel's check.
 */
static __always_inline int F(is_martian)(const __be32 *addr)
{
	struct F(sl_frontend) key = {};
	__u8 kind;

	if (F(is_no_host)(addr))
		return 1;
	copy_addr(key.addr, addr);
	kind = SL_FRONTEND_KIND(F(frontend_at)(&key));
	return kind == SL_KIND_NODE_ADDRESS || kind == SL_KIND_OWN_ADDRESS;
}

static __always_inline int F(is_forged)(const struct pkt *p)
{
	return p->hook != HOOK_SOCKET && F(is_martian)(p->F(key).saddr);
}

/* The detector comes first: a node's address may lie among the pods' (S-114). */
static __always_inline enum sl_path F(path_of)(const struct pkt *p)
{
	int pod = F(is_pod_traffic)(p);

	if (p->kind == SL_KIND_CLUSTER_IP)
		return pod ? SL_PATH_CLUSTER_POD : SL_PATH_CLUSTER;
	if (pod)
		return SL_PATH_POD;
	return p->hook == HOOK_SOCKET ? SL_PATH_NODE : SL_PATH_OUTSIDE;
}

/*
 * Is it an address of a ServiceCIDR? Asked for what is no service traffic, so
 * it is a few compares and no lookup but that of the one entry.
 */
static __always_inline int F(in_service_cidr)(const __be32 *addr)
{
	struct sl_node *n = this_node();

	if (!n)
		return 0;
	for (__u32 i = 0; i < SL_SERVICE_CIDRS; i++) {
		if (i >= SL_PASTE(n->n_services, FAMILY))
			break;
		if (F(in_prefix)(addr, &SL_PASTE(n->services, FAMILY)[i]))
			return 1;
	}
	return 0;
}

/*
 * A live cluster IP, or an address of this node: kube-proxy drops no packet to
 * the node itself. Not inlined: it is rare, and its key would lie on the stack of
 * every packet.
 */
__noinline int F(is_known_address)(struct pkt *p)
{
	struct F(sl_frontend) key = {};

	if (!p)
		return 0;
	copy_addr(key.addr, p->F(key).daddr);
	return F(frontend_at)(&key) != 0;
}

/* Nobody's address of a ServiceCIDR (S-122). */
static __always_inline int F(is_unallocated)(struct pkt *p)
{
	return F(in_service_cidr)(p->F(key).daddr) && !F(is_known_address)(p);
}
