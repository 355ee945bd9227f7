/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/attach.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"
#include "common/log.h"
#include "controlplane/attach/inventory.h"
#include "controlplane/attach/link.h"
#include "controlplane/attach/role.h"
#include "controlplane/attach/watch.h"

enum hook_state { HOOK_NONE, HOOK_ATTACHED, HOOK_FAILED, HOOK_SKIPPED };

struct hook {
	enum hook_state state;
	char why[LINK_WHY_MAX];
};

/* What became of one interface. */
struct iface {
	struct sl_iface value;
	struct hook hooks[LINK_HOOK_MAX];
};

/* The interfaces as they were read once; the arrays go with inventory->links. */
struct picture {
	struct inventory *inventory;
	struct role *roles;
	struct iface *ifaces;
	struct sl_iface node;		      /* attach_node() */
	const struct inventory_address **own; /* attach_each_address(), in the inventory's order */
	size_t n_own;
};

struct attach {
	struct attach_options options;
	struct link_programs programs;
	struct watch *watch;
	struct picture *now; /* NULL before the first */
};

static void picture_free(struct picture *picture)
{
	if (!picture)
		return;
	inventory_free(picture->inventory);
	free(picture->roles);
	free(picture->ifaces);
	free(picture->own);
	free(picture);
}
SL_DEFINE_AUTO(picture)

static bool is_node_address(const struct inventory_address *address)
{
	return !(address->flags & IFA_F_DADFAILED) &&
	       !ip_is_loopback(&address->addr, address->family);
}

static int by_place(const void *left, const void *right)
{
	const struct inventory_address *a = *(const struct inventory_address *const *)left;
	const struct inventory_address *b = *(const struct inventory_address *const *)right;

	return (a > b) - (a < b);
}

static int by_address(const void *left, const void *right)
{
	const struct inventory_address *a = *(const struct inventory_address *const *)left;
	const struct inventory_address *b = *(const struct inventory_address *const *)right;

	return (a->family - b->family) ?: memcmp(&a->addr, &b->addr, sizeof(a->addr))
				       ?: by_place(left, right);
}

/* Each once: links may share one, as point-to-point and bridged ones do. There
 * can be one for each Service, as kube-proxy's IPVS mode leaves them. */
static int find_own(struct picture *picture)
{
	const struct inventory *inventory = picture->inventory;
	const struct inventory_address **own = calloc(inventory->n_addresses + 1, sizeof(*own));
	size_t n = 0, kept = 0;

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < inventory->n_addresses; i++)
		if (is_node_address(&inventory->addresses[i]))
			own[n++] = &inventory->addresses[i];
	qsort(own, n, sizeof(*own), by_address);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || own[kept - 1]->family != own[i]->family ||
		    !ip_equal(&own[kept - 1]->addr, &own[i]->addr))
			own[kept++] = own[i];
	qsort(own, kept, sizeof(*own), by_place);
	picture->own = own;
	picture->n_own = kept;
	return 0;
}

/* Reads and judges; nothing is attached yet. */
static int picture_new(const struct attach_options *options, struct picture **ret, char error[512])
{
	sl_auto(picture) picture = calloc(1, sizeof(*picture));

	if (!picture) {
		snprintf(error, 512, "no memory");
		return -ENOMEM;
	}
	int err = inventory_read(&picture->inventory, error);
	if (err)
		return err;

	size_t n = picture->inventory->n_links;
	picture->roles = calloc(n + 1, sizeof(picture->roles[0]));
	picture->ifaces = calloc(n + 1, sizeof(picture->ifaces[0]));
	if (!picture->roles || !picture->ifaces || find_own(picture)) {
		snprintf(error, 512, "no memory for %zu interfaces", n);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		role_decide(picture->inventory, &picture->inventory->links[i], options->overrides,
			    options->n_overrides, &picture->roles[i]);
	*ret = sl_take(picture);
	return 0;
}

/* The place of an interface in the picture's arrays, or -1. */
static ssize_t place(const struct picture *picture, uint32_t ifindex)
{
	const struct inventory_link *link =
		picture ? inventory_find(picture->inventory, ifindex) : NULL;

	return link ? link - picture->inventory->links : -1;
}

static bool is_wanted(const struct hook *hook)
{
	return hook->state == HOOK_ATTACHED || hook->state == HOOK_FAILED;
}

static void attach_hook(const struct attach *attach, const struct inventory_link *link,
			enum link_hook which, struct hook *hook)
{
	int err = link_attach(&attach->programs, link->ifindex, which, hook->why);

	if (err == 0)
		hook->state = HOOK_ATTACHED;
	else if (err == -EOPNOTSUPP && which == LINK_XDP &&
		 attach->options.xdp_mode == ATTACH_XDP_AUTO)
		hook->state = HOOK_SKIPPED;
	else
		hook->state = HOOK_FAILED;
}

/* Which hooks an interface gets; those that were attached before are trusted. */
static void attach_hooks(const struct attach *attach, const struct picture *next, size_t i,
			 const struct iface *trusted)
{
	const struct inventory_link *link = &next->inventory->links[i];
	enum sl_role role = next->roles[i].role;
	struct hook *hooks = next->ifaces[i].hooks;

	if (role == SL_ROLE_NONE)
		return;
	for (int hook = 0; hook < LINK_HOOK_MAX; hook++) {
		if (hook == LINK_XDP) {
			if (role != SL_ROLE_UPLINK)
				continue;
			hooks[hook].state = HOOK_SKIPPED;
			if (!role_wants_xdp(next->inventory, link, attach->options.xdp_mode,
					    hooks[hook].why))
				continue;
			/* An answer that XDP passes must meet our TC program
			 * before it meets the node's sockets. */
			if (hooks[LINK_INGRESS].state != HOOK_ATTACHED ||
			    hooks[LINK_EGRESS].state != HOOK_ATTACHED) {
				snprintf(hooks[hook].why, LINK_WHY_MAX, "not without TC");
				continue;
			}
		}
		if (trusted && trusted->hooks[hook].state == HOOK_ATTACHED)
			hooks[hook] = trusted->hooks[hook];
		else
			attach_hook(attach, link, (enum link_hook)hook, &hooks[hook]);
	}
}

/* Takes programs off what was an interface of ours and is none any more. */
static void detach_old(const struct attach *attach, const struct picture *next)
{
	const struct picture *was = attach->now;

	for (size_t i = 0; i < was->inventory->n_links; i++) {
		uint32_t ifindex = was->inventory->links[i].ifindex;
		ssize_t at = place(next, ifindex);

		for (int hook = LINK_HOOK_MAX - 1; hook >= 0; hook--)
			if (is_wanted(&was->ifaces[i].hooks[hook]) &&
			    (at < 0 || !is_wanted(&next->ifaces[at].hooks[hook])))
				link_detach(&attach->programs, ifindex, (enum link_hook)hook);
	}
}

static bool keep_pin(void *context, uint32_t ifindex, enum link_hook hook)
{
	const struct attach *attach = context;
	ssize_t at = place(attach->now, ifindex);

	if (hook != LINK_XDP && !attach->programs.tcx)
		return false;
	return at >= 0 && is_wanted(&attach->now->ifaces[at].hooks[hook]);
}

/* Takes off what an earlier run left where this one wants nothing. */
static void detach_leftovers(struct attach *attach)
{
	link_prune(attach->options.links, keep_pin, attach);
	for (size_t i = 0; !attach->programs.tcx && i < attach->now->inventory->n_links; i++)
		if (attach->now->roles[i].role == SL_ROLE_NONE)
			for (int hook = LINK_INGRESS; hook <= LINK_EGRESS; hook++)
				link_detach_filter(attach->now->inventory->links[i].ifindex,
						   (enum link_hook)hook);
}

static const char *const role_names[SL_ROLE_MAX] = {
	[SL_ROLE_NONE] = "none",
	[SL_ROLE_POD] = "pod",
	[SL_ROLE_UPLINK] = "uplink",
	[SL_ROLE_TUNNEL] = "tunnel",
};

/* Pods come and go; of them only what failed is worth a line. */
static void tell(const struct attach *attach, const struct picture *next, size_t i)
{
	const struct inventory_link *link = &next->inventory->links[i];
	const struct role *role = &next->roles[i];
	ssize_t at = place(attach->now, link->ifindex);
	enum sl_role was = at >= 0 ? attach->now->roles[at].role : SL_ROLE_NONE;
	bool quiet = role->role <= SL_ROLE_POD && was <= SL_ROLE_POD;

	if (role->role != was)
		log_message(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
			    "attach: interface role changed name=%s ifindex=%u role=%s why=\"%s\"",
			    link->name, link->ifindex, role_names[role->role], role->why);
	for (int hook = 0; hook < LINK_HOOK_MAX; hook++) {
		const struct hook *is = &next->ifaces[i].hooks[hook];
		const struct hook *old = at >= 0 ? &attach->now->ifaces[at].hooks[hook] : NULL;

		if (is->state == HOOK_FAILED &&
		    (!old || old->state != HOOK_FAILED || strcmp(old->why, is->why) != 0))
			log_warn("attach: no program on the hook name=%s ifindex=%u hook=%s "
				 "why=\"%s\"",
				 link->name, link->ifindex,
				 link_hook_name(&attach->programs, (enum link_hook)hook), is->why);
	}
}

/*
 * Has the datapath to know of it? A bridge too, without a program: routes lead
 * to it, and its address is the source of what leaves by its ports (S-137).
 */
static bool is_ours(const struct picture *picture, size_t i)
{
	return picture->roles[i].role != SL_ROLE_NONE ||
	       strcmp(picture->inventory->links[i].kind, "bridge") == 0;
}

/* The next interface of ours, from `i` on. */
static size_t next_of_ours(const struct picture *picture, size_t i)
{
	while (i < picture->inventory->n_links && !is_ours(picture, i))
		i++;
	return i;
}

/* Whether attach_node(), attach_each_iface() and attach_each_address() say the
 * same of both. */
static bool is_same(const struct picture *a, const struct picture *b)
{
	const struct inventory *left = a->inventory, *right = b->inventory;
	size_t i = next_of_ours(a, 0), k = next_of_ours(b, 0);

	while (i < left->n_links && k < right->n_links) {
		if (left->links[i].ifindex != right->links[k].ifindex ||
		    memcmp(&a->ifaces[i].value, &b->ifaces[k].value, sizeof(struct sl_iface)) != 0)
			return false;
		i = next_of_ours(a, i + 1);
		k = next_of_ours(b, k + 1);
	}
	if (i < left->n_links || k < right->n_links || left->n_addresses != right->n_addresses ||
	    memcmp(&a->node, &b->node, sizeof(a->node)) != 0)
		return false;
	for (i = 0; i < left->n_addresses; i++)
		if (left->addresses[i].family != right->addresses[i].family ||
		    !ip_equal(&left->addresses[i].addr, &right->addresses[i].addr) ||
		    (left->addresses[i].flags ^ right->addresses[i].flags) & IFA_F_DADFAILED)
			return false;
	return true;
}

/* Reads, attaches and detaches; says whether the answers below changed. */
static int refresh(struct attach *attach, bool doubtful, bool *ret_changed, char error[512])
{
	sl_auto(picture) next = NULL;
	int err = picture_new(&attach->options, &next, error);

	if (err)
		return err;

	const struct inventory *inventory = next->inventory;

	next->node = role_node(inventory, next->roles);
	for (size_t i = 0; i < inventory->n_links; i++) {
		const struct inventory_link *link = &inventory->links[i];
		ssize_t at = doubtful ? -1 : place(attach->now, link->ifindex);

		attach_hooks(attach, next, i, at >= 0 ? &attach->now->ifaces[at] : NULL);
		next->ifaces[i].value =
			role_iface(inventory, link, next->roles[i].role, &next->node);
		next->ifaces[i].value.xdp = next->ifaces[i].hooks[LINK_XDP].state == HOOK_ATTACHED;
		next->ifaces[i].value.pod_traffic = role_is_pod_traffic(
			inventory, link, next->roles[i].role, &attach->options.detect);
		tell(attach, next, i);
	}

	struct picture *was = attach->now;

	*ret_changed = !was || !is_same(was, next);
	if (was)
		detach_old(attach, next);
	attach->now = sl_take(next);
	if (!was)
		detach_leftovers(attach);
	picture_free(was);
	return 0;
}

static int on_change(void *context, bool doubtful)
{
	struct attach *attach = context;
	char error[512] = "";
	bool changed;
	int err = refresh(attach, doubtful, &changed, error);

	if (err)
		log_warn("attach: the interfaces could not be read, trying again: %s", error);
	else if (changed)
		attach->options.changed(attach->options.context);
	return err;
}

int attach_new(const struct attach_options *options, struct attach **ret, char error[512])
{
	const int fd[LINK_HOOK_MAX] = { options->ingress, options->egress, options->xdp };
	sl_auto(attach) attach = calloc(1, sizeof(*attach));

	if (!attach) {
		snprintf(error, 512, "no memory");
		return -ENOMEM;
	}
	attach->options = *options;

	int err = link_init(&attach->programs, options->links, fd, !options->no_tcx);
	if (err) {
		snprintf(error, 512, "reading the programs: %s", strerror(-err));
		return err;
	}
	/* Listening first: no change falls between it and reading. */
	err = watch_new(options->loop, on_change, attach, &attach->watch, error);
	if (err)
		return err;

	bool changed;
	err = refresh(attach, true, &changed, error);
	if (err)
		return err;
	/* The callback may already ask. */
	*ret = sl_take(attach);
	options->changed(options->context);
	return 0;
}

void attach_free(struct attach *attach)
{
	if (!attach)
		return;
	watch_free(attach->watch);
	picture_free(attach->now);
	free(attach);
}

void attach_each_iface(const struct attach *attach,
		       void (*each)(void *context, uint32_t ifindex, const struct sl_iface *iface),
		       void *context)
{
	const struct picture *now = attach->now;

	for (size_t i = next_of_ours(now, 0); i < now->inventory->n_links;
	     i = next_of_ours(now, i + 1))
		each(context, now->inventory->links[i].ifindex, &now->ifaces[i].value);
}

bool attach_has_iface(const struct attach *attach, uint32_t ifindex)
{
	ssize_t at = place(attach->now, ifindex);

	return at >= 0 && is_ours(attach->now, (size_t)at);
}

struct sl_iface attach_node(const struct attach *attach)
{
	return attach->now->node;
}

void attach_each_address(const struct attach *attach,
			 void (*each)(void *context, const struct sl_addr *addr, uint8_t family),
			 void *context)
{
	const struct picture *now = attach->now;

	for (size_t i = 0; i < now->n_own; i++)
		each(context, &now->own[i]->addr, now->own[i]->family);
}

static json_t *describe_hooks(const struct attach *attach, const struct iface *iface)
{
	static const char *const states[] = {
		[HOOK_ATTACHED] = "attached",
		[HOOK_FAILED] = "failed",
		[HOOK_SKIPPED] = "skipped",
	};
	json_t *hooks = json_array();

	for (int hook = 0; hook < LINK_HOOK_MAX; hook++) {
		const struct hook *is = &iface->hooks[hook];

		if (is->state != HOOK_NONE)
			json_array_append_new(
				hooks,
				json_pack("{s:s, s:s, s:s}", "hook",
					  link_hook_name(&attach->programs, (enum link_hook)hook),
					  "state", states[is->state], "why", is->why));
	}
	return hooks;
}

static json_t *describe_addresses(const struct inventory *inventory, uint32_t ifindex)
{
	json_t *list = json_array();
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < inventory->n_addresses; i++) {
		const struct inventory_address *address = &inventory->addresses[i];

		if (address->ifindex == ifindex)
			json_array_append_new(list, json_string(ip_format(&address->addr,
									  address->family, text)));
	}
	return list;
}

json_t *attach_describe(const struct attach *attach)
{
	const struct picture *now = attach->now;
	json_t *list = json_array();

	for (size_t i = 0; i < now->inventory->n_links; i++) {
		const struct inventory_link *link = &now->inventory->links[i];

		json_array_append_new(
			list,
			json_pack("{s:I, s:s, s:s, s:s, s:s, s:b, s:I, s:o, s:o}", "ifindex",
				  (json_int_t)link->ifindex, "name", link->name, "kind", link->kind,
				  "role", role_names[now->roles[i].role], "why", now->roles[i].why,
				  "podTraffic", now->ifaces[i].value.pod_traffic, "mtu",
				  (json_int_t)link->mtu, "addresses",
				  describe_addresses(now->inventory, link->ifindex), "hooks",
				  describe_hooks(attach, &now->ifaces[i])));
	}
	return list;
}

int attach_remove(const char *links)
{
	return link_remove_all(links);
}
