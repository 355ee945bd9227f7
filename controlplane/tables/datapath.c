/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/datapath.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controlplane/tables/pins.h"
#include "sluice.skel.h"

/* Not in the headers of every system that this is built on. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47

/* While records wait for the end of a grace period, services have two. */
#define SPARE_RECORDS 1024

#define IFACES_MAX    65536

struct datapath {
	struct sluice *skel;
	struct pins_paths paths;
	struct bpf_map *map[DATAPATH_MAP_MAX];
	struct bpf_program *program[DATAPATH_PROGRAM_MAX];
	bool adopted;
};

static const char *const map_names[] = {
#define X(name) #name,
	DATAPATH_MAPS(X)
#undef X
};

const char *datapath_map_name(enum datapath_map map)
{
	return map < DATAPATH_MAP_MAX ? map_names[map] : NULL;
}

static uint32_t wanted_entries(const struct datapath_options *o, enum datapath_map map)
{
	switch (map) {
	case DATAPATH_filter:
		return SL_FILTER_WORDS;
	case DATAPATH_endpoint_set:
		return SL_ENDPOINT_WORDS;
	case DATAPATH_node_ports:
		return SL_PORT_WORDS * SL_PORT_PROTOCOLS;
	case DATAPATH_frontends4:
	case DATAPATH_frontends6:
		return o->max_frontends;
	case DATAPATH_services:
	case DATAPATH_identities:
	case DATAPATH_stats_services:
		return o->max_services;
	case DATAPATH_records:
		return o->max_services ? 2 * o->max_services + SPARE_RECORDS : 0;
	case DATAPATH_maglev:
		return o->max_maglev_slots / 2 + o->max_maglev_slots % 2;
	case DATAPATH_backends:
	case DATAPATH_stats_backends:
		return o->max_backends;
	case DATAPATH_policy4:
	case DATAPATH_policy6:
		return o->max_policies;
	case DATAPATH_new4:
	case DATAPATH_new6:
		return o->max_flows_new;
	case DATAPATH_established4:
	case DATAPATH_established6:
		return o->max_flows;
	case DATAPATH_snat4:
	case DATAPATH_snat6:
		return o->max_snat_ports;
	case DATAPATH_affinity4:
	case DATAPATH_affinity6:
		return o->max_affinity;
	case DATAPATH_sockets:
		return o->max_sockets;
	case DATAPATH_node:
		return 1;
	case DATAPATH_ifaces:
		return IFACES_MAX;
	case DATAPATH_MAP_MAX:
		break;
	}
	return 0;
}

/*
 * Programs say what they are for where the kernel knows TCX. It takes them for
 * TCX and for clsact alike so far, but one without TCX may refuse the number.
 * Every network namespace has its loopback interface as number 1.
 */
static bool kernel_has_tcx(void)
{
	uint32_t n = 0;

	return bpf_prog_query(1, (enum bpf_attach_type)TCX_INGRESS, 0, NULL, NULL, &n) == 0;
}

static int set_up(struct datapath *dp, const struct datapath_options *options, char *error)
{
	dp->skel = sluice__open();
	if (!dp->skel) {
		snprintf(error, PINS_TEXT, "datapath: the object can't be opened: %s",
			 strerror(errno));
		return -errno;
	}
	memcpy((void *)&dp->skel->rodata->config, &options->config, sizeof(options->config));

	dp->program[DATAPATH_INGRESS] = dp->skel->progs.sluice_ingress;
	dp->program[DATAPATH_EGRESS] = dp->skel->progs.sluice_egress;
	dp->program[DATAPATH_XDP] = dp->skel->progs.sluice_xdp;
	dp->program[DATAPATH_STORE] = dp->skel->progs.sluice_store;
	dp->program[DATAPATH_DECIDE] = dp->skel->progs.sluice_decide;
	dp->program[DATAPATH_PROBE] = dp->skel->progs.sluice_probe;
	dp->program[DATAPATH_CONNECT4] = dp->skel->progs.sluice_connect4;
	dp->program[DATAPATH_CONNECT6] = dp->skel->progs.sluice_connect6;
	dp->program[DATAPATH_SENDMSG4] = dp->skel->progs.sluice_sendmsg4;
	dp->program[DATAPATH_SENDMSG6] = dp->skel->progs.sluice_sendmsg6;
	dp->program[DATAPATH_RECVMSG4] = dp->skel->progs.sluice_recvmsg4;
	dp->program[DATAPATH_RECVMSG6] = dp->skel->progs.sluice_recvmsg6;
	dp->program[DATAPATH_GETPEERNAME4] = dp->skel->progs.sluice_getpeername4;
	dp->program[DATAPATH_GETPEERNAME6] = dp->skel->progs.sluice_getpeername6;
	dp->program[DATAPATH_RELEASE] = dp->skel->progs.sluice_release;
	for (int i = DATAPATH_CONNECT4; i < DATAPATH_PROGRAM_MAX && !options->config.netns; i++)
		bpf_program__set_autoload(dp->program[i], false);
	if (kernel_has_tcx()) {
		bpf_program__set_expected_attach_type(dp->program[DATAPATH_INGRESS],
						      (enum bpf_attach_type)TCX_INGRESS);
		bpf_program__set_expected_attach_type(dp->program[DATAPATH_EGRESS],
						      (enum bpf_attach_type)TCX_EGRESS);
	}

	for (int i = 0; i < DATAPATH_MAP_MAX; i++) {
		uint32_t entries = wanted_entries(options, i);

		dp->map[i] = bpf_object__find_map_by_name(dp->skel->obj, map_names[i]);
		if (!dp->map[i] || entries == 0) {
			snprintf(error, PINS_TEXT, "datapath: map %s: %s", map_names[i],
				 dp->map[i] ? "size 0" : "not in the object");
			return -EINVAL;
		}
		bpf_map__set_max_entries(dp->map[i], entries);
	}
	return 0;
}

/* A pinned map has to be what the object would create. */
static int compare(const struct bpf_map *map, const struct bpf_map_info *info, char *error)
{
	const char *what = NULL;

	if (info->type != (uint32_t)bpf_map__type(map))
		what = "type";
	else if (info->key_size != bpf_map__key_size(map))
		what = "key size";
	else if (info->value_size != bpf_map__value_size(map))
		what = "value size";
	else if (info->map_flags != bpf_map__map_flags(map))
		what = "flags";
	if (what) {
		snprintf(error, PINS_TEXT, "datapath: map %s: the pinned one has another %s",
			 bpf_map__name(map), what);
		return -EEXIST;
	}
	if (info->max_entries != bpf_map__max_entries(map)) {
		snprintf(error, PINS_TEXT,
			 "datapath: map %s: the pinned one has %u entries, but %u are configured",
			 bpf_map__name(map), info->max_entries, bpf_map__max_entries(map));
		return -EEXIST;
	}
	return 0;
}

static int adopt(struct datapath *dp, enum datapath_map i, char *error)
{
	char path[PATH_MAX + 64];
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int err;

	snprintf(path, sizeof(path), "%s/%s", dp->paths.maps, map_names[i]);
	sl_auto_fd int fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len)) {
		err = -errno;
		snprintf(error, PINS_TEXT, "datapath: map %s: the pin can't be opened: %s",
			 map_names[i], strerror(-err));
		return err;
	}
	err = compare(dp->map[i], &info, error);
	if (err)
		return err;
	err = bpf_map__reuse_fd(dp->map[i], fd);
	if (err)
		snprintf(error, PINS_TEXT, "datapath: map %s: %s", map_names[i], strerror(-err));
	else
		dp->adopted = true;
	return err;
}

/* libbpf says only in a line of text which map or program failed. */
static struct {
	char *line;
	libbpf_print_fn_t next;
} listener;

static int listen_to_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[PINS_TEXT - 32];
	va_list again;

	va_copy(again, args);
	vsnprintf(line, sizeof(line), format, again);
	va_end(again);
	line[strcspn(line, "\n")] = '\0';
	if (level == LIBBPF_WARN && listener.line[0] == '\0' &&
	    (strstr(line, "failed") || strstr(line, "Error")))
		snprintf(listener.line, PINS_TEXT, "datapath: %s",
			 strncmp(line, "libbpf: ", 8) ? line : line + 8);
	return listener.next ? listener.next(level, format, args) : 0;
}

static int load(struct datapath *dp, char *error)
{
	char line[PINS_TEXT] = "";
	int err;

	listener.line = line;
	listener.next = libbpf_set_print(listen_to_libbpf);
	err = sluice__load(dp->skel);
	libbpf_set_print(listener.next);
	if (err)
		snprintf(error, PINS_TEXT, "%s", line[0] ? line : "datapath: load failed");
	return err;
}

/*
 * Programs are pinned beside the old ones first and then renamed over them, so
 * that there is never a name without a program.
 */
static int pin_programs(struct datapath *dp, struct pins_made *made)
{
	char path[PATH_MAX + 64], beside[PATH_MAX + 80];
	int err;

	for (int step = 0; step < 2; step++) {
		for (int i = 0; i < DATAPATH_PROGRAM_MAX; i++) {
			snprintf(path, sizeof(path), "%s/%s", dp->paths.programs,
				 bpf_program__name(dp->program[i]));
			snprintf(beside, sizeof(beside), "%s-new", path);
			if (bpf_program__fd(dp->program[i]) < 0) {
				/* Not loaded; an earlier run's is of no use. */
				if (step == 1 && unlink(path) && errno != ENOENT)
					return -errno;
				continue;
			}
			if (step == 1) {
				if (rename(beside, path))
					return -errno;
				continue;
			}
			if (unlink(beside) && errno != ENOENT)
				return -errno;
			err = pins_make(bpf_program__fd(dp->program[i]), beside, made);
			if (err)
				return err;
		}
	}
	return 0;
}

static int pin(struct datapath *dp, struct pins_made *made, const bool *fresh, char *error)
{
	const char *const folders[] = { dp->paths.maps, dp->paths.programs, dp->paths.links };
	char path[PATH_MAX + 64];
	int err;

	for (size_t i = 0; i < SL_COUNT(folders); i++) {
		err = pins_make_folder(folders[i], made);
		if (err) {
			snprintf(error, PINS_TEXT, "datapath: %.200s: %s", folders[i],
				 strerror(-err));
			return err;
		}
	}
	for (int i = 0; i < DATAPATH_MAP_MAX; i++) {
		if (!fresh[i])
			continue;
		snprintf(path, sizeof(path), "%s/%s", dp->paths.maps, map_names[i]);
		err = pins_make(bpf_map__fd(dp->map[i]), path, made);
		if (err) {
			snprintf(error, PINS_TEXT, "datapath: map %s: pin: %s", map_names[i],
				 strerror(-err));
			return err;
		}
	}
	err = pin_programs(dp, made);
	if (err)
		snprintf(error, PINS_TEXT, "datapath: programs: pin: %s", strerror(-err));
	return err;
}

static int check_pins(const struct datapath *dp, const char *root, char *error)
{
	struct pins_layouts found;
	int err = pins_check_bpffs(root, error);

	if (err)
		return err;
	err = pins_layouts(dp->paths.instance, &found);
	if (err) {
		snprintf(error, PINS_TEXT, "datapath: %.200s: %s", dp->paths.instance,
			 strerror(-err));
		return err;
	}
	if (found.newest > SL_LAYOUT) {
		snprintf(error, PINS_TEXT,
			 "datapath: %.200s has layout %u, but this program knows %d only; "
			 "start a newer one",
			 dp->paths.instance, found.newest, SL_LAYOUT);
		return -EPROTO;
	}
	/* Its programs are attached: beside ours they would translate twice. */
	if (found.oldest && found.oldest < SL_LAYOUT) {
		snprintf(error, PINS_TEXT,
			 "datapath: %.200s has layout %u of an older version, but this program "
			 "uses %d; drain the node and run sluiced --cleanup before",
			 dp->paths.instance, found.oldest, SL_LAYOUT);
		return -EPROTO;
	}
	return 0;
}

static int open_all(struct datapath *dp, const struct datapath_options *options, char *error)
{
	bool fresh[DATAPATH_MAP_MAX];
	struct pins_made made = { .n = 0 };
	int err = check_pins(dp, options->root, error) ?: set_up(dp, options, error);

	for (int i = 0; i < DATAPATH_MAP_MAX && !err; i++) {
		bool before = dp->adopted;

		dp->adopted = false;
		err = adopt(dp, i, error);
		fresh[i] = !dp->adopted;
		dp->adopted = dp->adopted || before;
	}
	if (err)
		return err;
	err = load(dp, error) ?: pin(dp, &made, fresh, error);
	if (err)
		pins_unmake(&made);
	else
		pins_keep(&made);
	return err;
}

int datapath_open(const struct datapath_options *options, struct datapath **ret, char error[512])
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int err;

	if (!dp) {
		snprintf(error, PINS_TEXT, "datapath: out of memory");
		return -ENOMEM;
	}
	err = pins_paths(options->root, options->instance, &dp->paths);
	if (err)
		snprintf(error, PINS_TEXT, "datapath: bad instance name or root: \"%.64s\"",
			 options->instance);
	else
		err = open_all(dp, options, error);
	if (err)
		datapath_close(dp);
	else
		*ret = dp;
	return err;
}

void datapath_close(struct datapath *datapath)
{
	if (!datapath)
		return;
	sluice__destroy(datapath->skel);
	free(datapath);
}

int datapath_map(const struct datapath *datapath, enum datapath_map map)
{
	return bpf_map__fd(datapath->map[map]);
}

uint32_t datapath_entries(const struct datapath *datapath, enum datapath_map map)
{
	return bpf_map__max_entries(datapath->map[map]);
}

const struct sl_config *datapath_config(const struct datapath *datapath)
{
	return (const struct sl_config *)&datapath->skel->rodata->config;
}

int datapath_program(const struct datapath *datapath, enum datapath_program program)
{
	return bpf_program__fd(datapath->program[program]);
}

bool datapath_adopted(const struct datapath *datapath)
{
	return datapath->adopted;
}

const char *datapath_links_folder(const struct datapath *datapath)
{
	return datapath->paths.links;
}

int datapath_open_pins(const char *root, const char *instance, int ret_fds[DATAPATH_MAP_MAX])
{
	LIBBPF_OPTS(bpf_obj_get_opts, read_only, .file_flags = BPF_F_RDONLY);
	struct pins_paths paths;
	struct pins_layouts found;
	int err = pins_paths(root, instance, &paths) ?: pins_layouts(paths.instance, &found);

	if (err)
		return err;
	if (!found.ours)
		return found.newest ? -EPROTO : -ENOENT;
	for (int i = 0; i < DATAPATH_MAP_MAX; i++) {
		char path[PATH_MAX + 64];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", paths.maps, map_names[i]);
		fd = bpf_obj_get_opts(path, &read_only);
		ret_fds[i] = fd < 0 ? -1 : fd;
	}
	return 0;
}

/* Links go first: from then on no packet uses the maps. */
static int remove_layout(const char *folder)
{
	char links[PATH_MAX + 300];

	snprintf(links, sizeof(links), "%s/links", folder);
	return pins_remove(links) ?: pins_remove(folder);
}

int datapath_remove(const char *root, const char *instance)
{
	char error[PINS_TEXT], folder[PATH_MAX + 280];
	struct pins_paths paths;
	int err = pins_paths(root, instance, &paths) ?: pins_check_bpffs(root, error);
	DIR *dir;

	if (err)
		return err;
	dir = opendir(paths.instance);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] != 'v')
			continue;
		snprintf(folder, sizeof(folder), "%s/%s", paths.instance, entry->d_name);
		err = remove_layout(folder) ?: err;
	}
	closedir(dir);
	return err ?: pins_remove(paths.instance);
}
