/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/config.h"
#include "controlplane/config_table.h"

#define FLAGS_MAX 16

static char file[64], error[512];
static struct config *config;
static enum config_action action;

static void make(void)
{
	snprintf(file, sizeof(file), "/tmp/sluice-config-XXXXXX");
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	close(fd);
	config = NULL;
}

static void unmake(void)
{
	config_free(config);
	unlink(file);
}

static void write_file(const char *text)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

/* Loads with the words of `flags`; "FILE" among them stands for the file. */
static int load(const char *flags)
{
	char *argv[FLAGS_MAX] = { "sluiced" };
	char *copy = strdup(flags), *rest = copy, *word;
	int argc = 1;

	config_free(config);
	config = NULL;
	while ((word = strsep(&rest, " "))) {
		if (*word)
			argv[argc++] = strcmp(word, "FILE") == 0 ? file : word;
	}
	int err = config_load(argc, argv, &config, &action, error);
	free(copy);
	return err;
}

static void load_ok(const char *flags)
{
	ck_assert_msg(load(flags) == 0, "%s: %s", flags, error);
	ck_assert_int_eq(action, CONFIG_RUN);
	ck_assert_ptr_nonnull(config);
}

/* What load() wrote to stdout. */
static char *printed(const char *flags)
{
	static char text[65536];
	FILE *out = tmpfile();

	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	dup2(fileno(out), STDOUT_FILENO);
	int err = load(flags);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	ck_assert_msg(err == 0, "%s", error);
	ck_assert_int_eq(action, CONFIG_EXIT);
	ck_assert_ptr_null(config);
	rewind(out);
	text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
	fclose(out);
	return text;
}

START_TEST(without_anything_there_are_defaults)
{
	char host[256];

	load_ok("");
	ck_assert_str_eq(config->instance, "default");
	ck_assert_int_eq(config->source, CONFIG_KUBE);
	ck_assert_str_eq(config->bpffs, "/sys/fs/bpf");
	ck_assert_str_eq(config->run_dir, "/run/sluice");
	ck_assert_str_eq(config->log_level, "info");
	ck_assert_int_eq(config->xdp, CONFIG_XDP_AUTO);
	ck_assert(config->host_processes);
	ck_assert_ptr_null(config->manifests);
	ck_assert_ptr_null(config->kubeconfig);
	ck_assert_uint_eq(config->n_api_servers, 0);
	ck_assert_uint_eq(config->n_interfaces, 0);
	ck_assert_uint_eq(config->n_node_port_addresses, 1);
	ck_assert_str_eq(config->node_port_addresses[0], "all");
	ck_assert_uint_eq(config->snat_first, 61000);
	ck_assert_uint_eq(config->snat_last, 65535);
	ck_assert_int_eq(config->masquerade, CONFIG_MASQUERADE_MINIMAL);
	ck_assert(!config->masquerade_set);
	ck_assert(!config->masquerade_all);
	ck_assert(!config->source_ranges_everywhere);
	ck_assert_int_eq(config->detect, CONFIG_DETECT_ROLE);
	ck_assert_uint_eq(config->cluster_cidrs.n, 0);
	ck_assert_uint_eq(config->service_cidrs.n, 0);
	ck_assert_str_eq(config->healthz_bind_address, "0.0.0.0:10256");
	ck_assert_uint_eq(config->timeout_tcp, 86400);
	ck_assert(!config->cleanup);
	gethostname(host, sizeof(host));
	ck_assert_int_eq(strcasecmp(config->node_name, host), 0);
}
END_TEST

START_TEST(the_file_sets_every_kind_of_field)
{
	write_file("instance: edge-1\n"
		   "nodeName: \" Node-A \"\n"
		   "source: manifests\n"
		   "manifests: /etc/sluice/services\n"
		   "xdp: off\n"
		   "hostProcesses: false\n"
		   "interfaces:\n"
		   "  eth0: uplink\n"
		   "  br-1: none\n"
		   "nodePortAddresses: [10.0.0.0/8, primary, 'fd00::/8']\n"
		   "snatPorts: 50000-50999\n"
		   "maxFlows: 200000\n"
		   "timeoutUdp: 45\n"
		   "kubeconfig: ~\n"
		   "apiServer:\n");
	load_ok("--config FILE");
	ck_assert_str_eq(config->instance, "edge-1");
	ck_assert_str_eq(config->node_name, "node-a");
	ck_assert_int_eq(config->source, CONFIG_MANIFESTS);
	ck_assert_str_eq(config->manifests, "/etc/sluice/services");
	ck_assert_int_eq(config->xdp, CONFIG_XDP_OFF);
	ck_assert(!config->host_processes);
	ck_assert_uint_eq(config->n_interfaces, 2);
	ck_assert_str_eq(config->interfaces[0].name, "eth0");
	ck_assert_int_eq(config->interfaces[0].role, SL_ROLE_UPLINK);
	ck_assert_str_eq(config->interfaces[1].name, "br-1");
	ck_assert_int_eq(config->interfaces[1].role, SL_ROLE_NONE);
	ck_assert_uint_eq(config->n_node_port_addresses, 3);
	ck_assert_str_eq(config->node_port_addresses[2], "fd00::/8");
	ck_assert_uint_eq(config->snat_first, 50000);
	ck_assert_uint_eq(config->snat_last, 50999);
	ck_assert_uint_eq(config->max_flows, 200000);
	ck_assert_uint_eq(config->timeout_udp, 45);
	ck_assert_ptr_null(config->kubeconfig);
	ck_assert_uint_eq(config->n_api_servers, 0);
}
END_TEST

START_TEST(the_file_says_who_is_a_pod_and_who_is_masqueraded)
{
	write_file("masquerade: compatible\n"
		   "masqueradeAll: true\n"
		   "detectLocalMode: clusterCIDR\n"
		   "clusterCIDR: [10.244.3.0/16, 'fd00:10::/56']\n"
		   "serviceCIDRs: [10.96.0.0/12, 10.112.0.0/12, 'fd00::/108']\n"
		   "sourceRangesEverywhere: true\n");
	load_ok("--config FILE");
	ck_assert_int_eq(config->masquerade, CONFIG_MASQUERADE_COMPATIBLE);
	ck_assert(config->masquerade_set);
	ck_assert(config->masquerade_all);
	ck_assert(config->source_ranges_everywhere);
	ck_assert_int_eq(config->detect, CONFIG_DETECT_CLUSTER_CIDR);
	ck_assert_uint_eq(config->cluster_cidrs.n, 2);
	ck_assert_uint_eq(config->cluster_cidrs.items[0].addr.w[0], htonl(0x0af40000));
	ck_assert_uint_eq(config->cluster_cidrs.items[0].len, 16);
	ck_assert_uint_eq(config->cluster_cidrs.items[1].family, 6);
	ck_assert_uint_eq(config->service_cidrs.n, 3);
}
END_TEST

START_TEST(flags_say_who_is_a_pod)
{
	load_ok("--detect-local-mode bridgeInterface --bridge-interface cbr0 "
		"--cluster-cidr 10.0.0.0/8 --service-cidrs=10.96.0.0/12,fd00::/108 "
		"--masquerade-all=true --masquerade-all=false");
	ck_assert_int_eq(config->detect, CONFIG_DETECT_BRIDGE);
	ck_assert_str_eq(config->bridge_interface, "cbr0");
	ck_assert_uint_eq(config->cluster_cidrs.n, 1);
	ck_assert_uint_eq(config->service_cidrs.n, 2);
	ck_assert(!config->masquerade_all);
	load_ok("--detect-local-mode=interfaceNamePrefix --interface-name-prefix=cali");
	ck_assert_int_eq(config->detect, CONFIG_DETECT_PREFIX);
	ck_assert_str_eq(config->interface_name_prefix, "cali");
}
END_TEST

/* Written, and what becomes of it; NULL: refused. */
static const struct {
	const char *text, *want;
} binds[] = {
	{ "0.0.0.0:10256", "0.0.0.0:10256" },
	{ "", "" },
	{ "127.0.0.1", "127.0.0.1:10256" },
	{ "192.0.2.1:1", "192.0.2.1:1" },
	{ "[::]:65535", "[::]:65535" },
	{ "::", "[::]:10256" },
	{ "2001:db8::1", "[2001:db8::1]:10256" },
	{ "192.0.2.1:0", NULL },
	{ "192.0.2.1:65536", NULL },
	{ "192.0.2.1:", NULL },
	{ "192.0.2.1:http", NULL },
	{ ":10256", NULL },
	{ "localhost:10256", NULL },
	{ "[::]", NULL },
	{ "[::", NULL },
	{ "]:80", NULL },
	{ "1:2:3:4:5:6:7:8:80", NULL },
};

START_TEST(health_is_served_on_an_address_and_port)
{
	char text[128];
	int err;

	snprintf(text, sizeof(text), "healthzBindAddress: '%s'\n", binds[_i].text);
	write_file(text);
	err = load("--config FILE");
	if (!binds[_i].want) {
		ck_assert_int_eq(err, -EINVAL);
		ck_assert_ptr_nonnull(strstr(error, ":1: healthzBindAddress: "));
		return;
	}
	ck_assert_msg(err == 0, "%s", error);
	ck_assert_str_eq(config->healthz_bind_address, binds[_i].want);
}
END_TEST

START_TEST(metrics_are_served_on_an_address_and_port)
{
	load_ok("");
	ck_assert_str_eq(config->metrics_bind_address, "127.0.0.1:10249");
	config_free(sl_take(config));
	write_file("metricsBindAddress: ''\n");
	load_ok("--config FILE");
	ck_assert_str_eq(config->metrics_bind_address, "");
	config_free(sl_take(config));
	load_ok("--metrics-bind-address 192.0.2.1");
	ck_assert_str_eq(config->metrics_bind_address, "192.0.2.1:10249");
}
END_TEST

/* S-254 */
static const struct {
	const char *text;
	int want;
} scores[] = { { "-999", -999 }, { "-1000", -1000 }, { "0", 0 }, { "-0", 0 }, { "1000", 1000 } };

START_TEST(oom_score_has_a_sign)
{
	char text[64];

	snprintf(text, sizeof(text), "oomScoreAdj: %s\n", scores[_i].text);
	write_file(text);
	load_ok("--config FILE");
	ck_assert_int_eq(config->oom_score_adj, scores[_i].want);
	config_free(sl_take(config));
	snprintf(text, sizeof(text), "--oom-score-adj %s", scores[_i].text);
	load_ok(text);
	ck_assert_int_eq(config->oom_score_adj, scores[_i].want);
}
END_TEST

static json_t *shown(const char *field)
{
	json_t *all = config_json(config), *value = json_incref(json_object_get(all, field));

	ck_assert_uint_eq(json_object_size(all), config_n_fields);
	json_decref(all);
	return value;
}

static void assert_shown(const char *field, const char *want)
{
	json_t *value = shown(field);
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);

	ck_assert_str_eq(text, want);
	free(text);
	json_decref(value);
}

START_TEST(configuration_is_shown_as_the_file_has_it)
{
	write_file("apiServer: https://me:secret@192.0.2.1:6443/x@y\n"
		   "interfaces: {eth0: uplink, br0: none}\n"
		   "nodePortAddresses: [primary, 10.0.0.0/8]\n"
		   "detectLocalMode: clusterCIDR\nclusterCIDR: [10.244.0.0/16, 'fd00::/48']\n"
		   "masquerade: compatible\nsnatPorts: 2000-3000\nhostProcesses: false\n"
		   "oomScoreAdj: -5\nmaxServices: 100\n");
	load_ok("--config FILE");
	assert_shown("apiServer", "[\"https://192.0.2.1:6443/x@y\"]");
	assert_shown("interfaces", "{\"br0\":\"none\",\"eth0\":\"uplink\"}");
	assert_shown("nodePortAddresses", "[\"primary\",\"10.0.0.0/8\"]");
	assert_shown("detectLocalMode", "\"clusterCIDR\"");
	assert_shown("clusterCIDR", "[\"10.244.0.0/16\",\"fd00::/48\"]");
	assert_shown("masquerade", "\"compatible\"");
	assert_shown("snatPorts", "\"2000-3000\"");
	assert_shown("hostProcesses", "false");
	assert_shown("oomScoreAdj", "-5");
	assert_shown("maxServices", "100");
	assert_shown("kubeconfig", "null");
	assert_shown("serviceCIDRs", "[]");
	assert_shown("logLevel", "\"info\"");
}
END_TEST

START_TEST(node_ports_may_be_left_to_localhost)
{
	load_ok("--node-port-addresses localhost,primary");
	ck_assert_str_eq(config->node_port_addresses[0], "localhost");
}
END_TEST

START_TEST(flags_set_every_kind_of_field)
{
	load_ok("-i edge --node-name=N1 --source manifests --manifests dir --xdp=on "
		"--interfaces eth0=uplink,cali1=pod --node-port-addresses=primary,10.0.0.0/8 "
		"--snat-ports 2000-2000");
	ck_assert_str_eq(config->instance, "edge");
	ck_assert_str_eq(config->node_name, "n1");
	ck_assert_str_eq(config->manifests, "dir");
	ck_assert_int_eq(config->xdp, CONFIG_XDP_ON);
	ck_assert_uint_eq(config->n_interfaces, 2);
	ck_assert_str_eq(config->interfaces[1].name, "cali1");
	ck_assert_int_eq(config->interfaces[1].role, SL_ROLE_POD);
	ck_assert_uint_eq(config->n_node_port_addresses, 2);
	ck_assert_uint_eq(config->snat_last, 2000);
}
END_TEST

START_TEST(flags_win_over_the_file)
{
	write_file("maxFlows: 300000\ninterfaces: {eth0: pod, eth1: pod}\nlogLevel: warn\n");
	load_ok("--max-flows 400000 -c FILE --interfaces eth2=tunnel");
	ck_assert_uint_eq(config->max_flows, 400000);
	ck_assert_str_eq(config->log_level, "warn");
	ck_assert_uint_eq(config->n_interfaces, 1);
	ck_assert_str_eq(config->interfaces[0].name, "eth2");
}
END_TEST

START_TEST(an_empty_file_is_all_defaults)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "{}\n" };

	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		write_file(texts[i]);
		load_ok("--config FILE");
		ck_assert_uint_eq(config->max_services, 65536);
	}
}
END_TEST

/* `want` follows the file's name. */
static const struct {
	const char *text, *want;
} bad_files[] = {
	{ "instance: a\nmaxServces: 5\n",
	  ":2: maxServces: no such field; did you mean maxServices?" },
	{ "maxservices: 50\n", ":1: maxservices: no such field; did you mean maxServices?" },
	{ "frobnicate: 1\n", ":1: frobnicate: no such field" },
	{ "featureGates: {A: true}\n", ":1: featureGates: sluice has no feature gates" },
	{ "oomScoreAdj: -1001\n", ":1: oomScoreAdj: '-1001' is not in -1000 ... 1000" },
	{ "oomScoreAdj: 1001\n", ":1: oomScoreAdj: '1001' is not in -1000 ... 1000" },
	{ "oomScoreAdj: --5\n", ":1: oomScoreAdj: '--5' is not in -1000 ... 1000" },
	{ "oomScoreAdj: '-'\n", ":1: oomScoreAdj: '-' is not in -1000 ... 1000" },
	{ "metricsBindAddress: 10249\n", ":1: metricsBindAddress: '10249' is not ADDRESS:PORT" },
	{ "metricsBindAddress: '1.2.3.4:0'\n", ":1: metricsBindAddress: 0 is not in 1 ... 65535" },
	{ "metricsServices: 1048577\n", ":1: metricsServices: 1048577 is not in 0 ... 1048576" },
	{ "\nmaxServices: 0\n", ":2: maxServices: 0 is not in 16 ... 1048576" },
	{ "maxServices: 99999999999999999999\n",
	  ":1: maxServices: 99999999999999999999 is not in" },
	{ "maxServices: 4294967312\n", ":1: maxServices: 4294967312 is not in" },
	{ "maxServices: -1\n", ":1: maxServices: '-1' is not a number" },
	{ "maxServices: 1k\n", ":1: maxServices: '1k' is not a number" },
	{ "maxServices: ''\n", ":1: maxServices: '' is not a number" },
	{ "maxServices: [1]\n", ":1: maxServices: is not one value" },
	{ "instance: Edge\n", ":1: instance: 'Edge' is not 1 to 32 of" },
	{ "instance: a/b\n", ":1: instance: 'a/b' is not 1 to 32 of" },
	{ "instance: a12345678901234567890123456789012\n", ":1: instance: " },
	{ "nodeName: 'a b'\n", ":1: nodeName: 'a b' has other characters" },
	{ "source: etcd\n", ":1: source: 'etcd' is none of kube, manifests" },
	{ "logLevel: loud\n", ":1: logLevel: 'loud' is none of error, warn, info, debug" },
	{ "a: 1\nlogLevel: x\n", ":1: a: no such field" },
	{ "bpffs: run\n", ":1: bpffs: 'run' does not begin with /" },
	{ "apiServer: me:secret@10.0.0.1\n", ":1: apiServer: '10.0.0.1' is not https://HOST:PORT" },
	{ "apiServer: 10.0.0.1:6443\n", ":1: apiServer: '10.0.0.1:6443' is not https://HOST:PORT" },
	{ "manifests: ''\n", ":1: manifests: is empty" },
	{ "snatPorts: 61000\n", ":1: snatPorts: '61000' is not FIRST-LAST" },
	{ "snatPorts: 5000-4000\n", ":1: snatPorts: 5000 is above 4000" },
	{ "snatPorts: 80-4000\n", ":1: snatPorts: 80 is not in 1024 ... 65535" },
	{ "snatPorts: 4000-70000\n", ":1: snatPorts: 70000 is not in" },
	{ "interfaces:\n  eth0: uplink\n  eth1: wan\n",
	  ":3: interfaces: 'wan' is none of none, pod" },
	{ "interfaces:\n  eth0: pod\n  eth0: pod\n", ":3: interfaces: 'eth0' is given twice" },
	{ "interfaces: {a_name_too_long_: pod}\n", ":1: interfaces: 'a_name_too_long_' is not an" },
	{ "interfaces: [eth0]\n", ":1: interfaces: is a list, not a mapping" },
	{ "interfaces: eth0\n", ":1: interfaces: 'eth0' is not NAME=ROLE" },
	{ "interfaces: {eth0: [pod]}\n", ":1: interfaces: item 1 is not text" },
	{ "nodePortAddresses:\n- all\n- localnet\n", ":3: nodePortAddresses: 'localnet' is not a" },
	{ "masquerade: all\n", ":1: masquerade: 'all' is none of minimal, compatible" },
	{ "masqueradeAll: yes\n", ":1: masqueradeAll: 'yes' is none of false, true" },
	{ "detectLocalMode: ClusterCIDR\n", ":1: detectLocalMode: 'ClusterCIDR' is none of clu" },
	{ "clusterCIDR:\n- 10.0.0.0/8\n- 11.0.0.0/8\n",
	  ":3: clusterCIDR: '11.0.0.0/8' is one too many of IPv4, 1 can be given" },
	{ "clusterCIDR: 10.0.0.1\n", ":1: clusterCIDR: '10.0.0.1' is not a prefix" },
	{ "serviceCIDRs: [1.0.0.0/8, 2.0.0.0/8, 3.0.0.0/8, 4.0.0.0/8, 'fd00::/108', 5.0.0.0/8]\n",
	  ":1: serviceCIDRs: '5.0.0.0/8' is one too many of IPv4, 4 can be given" },
	{ "bridgeInterface: a_name_too_long_\n", ":1: bridgeInterface: 'a_name_too_long_' is not" },
	{ "interfaceNamePrefix: a/b\n", ":1: interfaceNamePrefix: 'a/b' is not" },
	{ "bridgeInterface: ''\ndetectLocalMode: bridgeInterface\n",
	  ":2: detectLocalMode: bridgeInterface needs the field of that name" },
	{ "bridgeInterface: br0\ndetectLocalMode: interfaceNamePrefix\n",
	  ":2: detectLocalMode: interfaceNamePrefix needs the field of that name" },
	{ "nodePortAddresses: [all, all]\n", ":1: nodePortAddresses: 'all' is given twice" },
	{ "nodePortAddresses: [10.0.0.1]\n", ":1: nodePortAddresses: '10.0.0.1' is not a prefix" },
	{ "nodePortAddresses: {a: b}\n", ":1: nodePortAddresses: is a mapping, not a list" },
	{ "xdp: on\nsource: kube\nxdp: off\n", ":3: xdp: is on line 1 already" },
	{ "xdp: on\n---\nxdp: off\n", ":3: a second document begins here" },
	{ "- a\n", ":1: not a mapping of fields to values" },
	{ "just text\n", ":1: not a mapping of fields to values" },
	{ "[a]: b\n", ":1: a field name is not text" },
	{ "xdp: on\n  source: kube\n", ":2: mapping values are not allowed in this context" },
	{ "xdp: *nothing\n", ":1: found undefined alias" },
	{ "manifests: \"a\\0b\"\n", ":1: manifests: is not one value" },
	/* What does not fit together. */
	{ "xdp: on\nsource: manifests\n", ":2: source: manifests needs a folder" },
	{ "xdp: on\nmasqueradeAll: true\n", ":2: masqueradeAll: needs masquerade: compatible" },
	{ "maxFlows: 2000\n", ":1: maxFlows: 2000 is below maxFlowsNew, 131072" },
	{ "timeoutTcp: 60\n", ":1: timeoutTcp: 60 is below timeoutTcpClosing, 120" },
	{ "runDir: "
	  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaa\n",
	  ":1: runDir: the control socket's path has " },
};

START_TEST(a_bad_file_is_told_with_file_line_and_field)
{
	size_t len = strlen(file);

	write_file(bad_files[_i].text);
	ck_assert_int_eq(load("--config FILE --check-config"), -EINVAL);
	ck_assert_ptr_null(config);
	ck_assert_int_eq(strncmp(error, file, len), 0);
	ck_assert_msg(strncmp(error + len, bad_files[_i].want, strlen(bad_files[_i].want)) == 0,
		      "%s\ngives %s\nnot   %s", bad_files[_i].text, error + len,
		      bad_files[_i].want);
}
END_TEST

static const struct {
	const char *flags, *want;
} bad_flags[] = {
	{ "--max-servces 5", "--max-servces: no such flag; did you mean --max-services?" },
	{ "--chek-config", "--chek-config: no such flag; did you mean --check-config?" },
	{ "--what-is-this-supposed-to-be=1", "--what-is-this-supposed-to-be: no such flag" },
	{ "web.yaml", "web.yaml: is not a flag" },
	{ "--feature-gates=A=true", "--feature-gates: sluice has no feature gates" },
	{ "--max-services", "--max-services: needs a value" },
	{ "--help=yes", "--help: takes no value" },
	{ "--max-services 1", "--max-services: 1 is not in 16 ... 1048576" },
	{ "--interfaces eth0=uplink,eth1", "--interfaces: 'eth1' is not NAME=ROLE" },
	{ "--source manifests", "--source: manifests needs a folder" },
	{ "--config /nonexistent/x.yaml", "/nonexistent/x.yaml: No such file or directory" },
};

START_TEST(a_bad_flag_is_told_by_name)
{
	ck_assert_int_eq(load(bad_flags[_i].flags), -EINVAL);
	ck_assert_ptr_null(config);
	ck_assert_msg(strncmp(error, bad_flags[_i].want, strlen(bad_flags[_i].want)) == 0, "%s: %s",
		      bad_flags[_i].flags, error);
}
END_TEST

START_TEST(check_config_says_that_a_file_is_valid)
{
	write_file("xdp: on\n");
	ck_assert_ptr_nonnull(strstr(printed("--check-config --config FILE"), ": valid\n"));
}
END_TEST

START_TEST(printed_defaults_are_a_valid_file_of_the_defaults)
{
	char *text = printed("--print-defaults");

	for (size_t i = 0; i < config_n_fields; i++)
		ck_assert_msg(strstr(text, config_fields[i].name), "%s", config_fields[i].name);
	write_file(text);
	load_ok("");
	struct config *plain = config;
	config = NULL;
	load_ok("--config FILE");

	/* From the numbers on, the structure has no pointers. */
	ck_assert_mem_eq(&config->max_services, &plain->max_services,
			 sizeof(*plain) - offsetof(struct config, max_services));
	ck_assert_str_eq(config->instance, plain->instance);
	ck_assert_str_eq(config->node_name, plain->node_name);
	ck_assert_str_eq(config->bpffs, plain->bpffs);
	ck_assert_int_eq(config->source, plain->source);
	ck_assert_uint_eq(config->snat_first, plain->snat_first);
	ck_assert_uint_eq(config->n_node_port_addresses, plain->n_node_port_addresses);
	ck_assert_ptr_null(config->manifests);
	config_free(plain);
}
END_TEST

START_TEST(help_shows_every_flag_with_its_default)
{
	char flag[CONFIG_FLAG_MAX];
	char *text = printed("--help");

	for (size_t i = 0; i < config_n_fields; i++)
		ck_assert_msg(strstr(text, config_flag(&config_fields[i], flag)), "%s", flag);
	ck_assert_ptr_nonnull(strstr(text, "--check-config"));
	ck_assert_ptr_nonnull(strstr(text, "Default: 61000-65535"));
	ck_assert_ptr_null(strstr(text, "print-config-docs"));
}
END_TEST

START_TEST(version_is_that_of_the_build)
{
	ck_assert_str_eq(printed("-V"), "sluiced " SLUICE_VERSION "\n");
}
END_TEST

START_TEST(help_is_given_whatever_else_is_wrong)
{
	ck_assert_ptr_nonnull(strstr(printed("--max-services 0 --help"), "Usage: sluiced"));
}
END_TEST

START_TEST(cleanup_is_asked_for_by_a_flag_only)
{
	load_ok("--cleanup");
	ck_assert(config->cleanup);
	write_file("cleanup: true\n");
	ck_assert_int_eq(load("--config FILE"), -EINVAL);
}
END_TEST

START_TEST(init_only_is_asked_for_by_a_flag_only)
{
	load_ok("--init-only");
	ck_assert(config->init_only);
	write_file("initOnly: true\n");
	ck_assert_int_eq(load("--config FILE"), -EINVAL);
}
END_TEST

/* The flag's name comes from the field's. */
START_TEST(flags_are_named_after_fields)
{
	char flag[CONFIG_FLAG_MAX];

	for (size_t i = 0; i < config_n_fields; i++) {
		if (strcmp(config_fields[i].name, "apiServer") == 0)
			ck_assert_str_eq(config_flag(&config_fields[i], flag), "--api-server");
		if (strcmp(config_fields[i].name, "serviceCIDRs") == 0)
			ck_assert_str_eq(config_flag(&config_fields[i], flag), "--service-cidrs");
	}
}
END_TEST

START_TEST(the_documentation_is_what_the_table_says)
{
	static char text[65536];
	char path[512];

	/* From test/unit/ of the sources, wherever the test runs. */
	snprintf(path, sizeof(path), "%s", __FILE__);
	char *end = strstr(path, "test/unit/");
	ck_assert_ptr_nonnull(end);
	snprintf(end, sizeof(path) - (size_t)(end - path), "docs/configuration.md");
	FILE *in = fopen(path, "r");
	ck_assert_msg(in != NULL, "%s", path);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	ck_assert_msg(strcmp(printed("--print-config-docs"), text) == 0,
		      "docs/configuration.md is not what sluiced --print-config-docs writes");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, make, unmake);
	tcase_add_test(tc, without_anything_there_are_defaults);
	tcase_add_test(tc, the_file_sets_every_kind_of_field);
	tcase_add_test(tc, flags_set_every_kind_of_field);
	tcase_add_test(tc, the_file_says_who_is_a_pod_and_who_is_masqueraded);
	tcase_add_test(tc, flags_say_who_is_a_pod);
	tcase_add_loop_test(tc, health_is_served_on_an_address_and_port, 0, SL_COUNT(binds));
	tcase_add_test(tc, metrics_are_served_on_an_address_and_port);
	tcase_add_loop_test(tc, oom_score_has_a_sign, 0, SL_COUNT(scores));
	tcase_add_test(tc, configuration_is_shown_as_the_file_has_it);
	tcase_add_test(tc, node_ports_may_be_left_to_localhost);
	tcase_add_test(tc, flags_win_over_the_file);
	tcase_add_test(tc, an_empty_file_is_all_defaults);
	tcase_add_loop_test(tc, a_bad_file_is_told_with_file_line_and_field, 0,
			    SL_COUNT(bad_files));
	tcase_add_loop_test(tc, a_bad_flag_is_told_by_name, 0, SL_COUNT(bad_flags));
	tcase_add_test(tc, check_config_says_that_a_file_is_valid);
	tcase_add_test(tc, printed_defaults_are_a_valid_file_of_the_defaults);
	tcase_add_test(tc, help_shows_every_flag_with_its_default);
	tcase_add_test(tc, version_is_that_of_the_build);
	tcase_add_test(tc, help_is_given_whatever_else_is_wrong);
	tcase_add_test(tc, cleanup_is_asked_for_by_a_flag_only);
	tcase_add_test(tc, init_only_is_asked_for_by_a_flag_only);
	tcase_add_test(tc, flags_are_named_after_fields);
	tcase_add_test(tc, the_documentation_is_what_the_table_says);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
