/* SPDX-License-Identifier: Apache-2.0 */

/* Whether kube-proxy runs, and which connections its translations hold. */

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "tools/lbctl/migrate.h"
#include "tools/lbctl/text.h"

#define METRICS	   "127.0.0.1:10249" /* where kube-proxy serves, if it is not told otherwise */
#define ANSWER_MAX 65536

/* Whether a process is kube-proxy and in this network namespace. */
static bool is_kube_proxy(const char *pid)
{
	char path[64], name[32] = "";
	struct stat theirs, ours;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	in = fopen(path, "re");
	if (!in)
		return false;
	if (!fgets(name, sizeof(name), in))
		name[0] = '\0';
	fclose(in);
	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	return !strcmp(name, "kube-proxy\n") && !stat(path, &theirs) &&
	       !stat("/proc/self/ns/net", &ours) && theirs.st_dev == ours.st_dev &&
	       theirs.st_ino == ours.st_ino;
}

static json_t *processes(void)
{
	json_t *list = json_array();
	const struct dirent *entry;
	DIR *dir = opendir("/proc");

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_kube_proxy(entry->d_name))
			json_array_append_new(list, json_integer(atoll(entry->d_name)));
	if (dir)
		closedir(dir);
	return list;
}

struct answer {
	char text[ANSWER_MAX];
	size_t len;
};

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct answer *answer = arg;
	size_t len = size * n;

	if (len >= sizeof(answer->text) - answer->len)
		return 0;
	memcpy(answer->text + answer->len, data, len);
	answer->len += len;
	return len;
}

/* Its configuration, which it serves beside its metrics; NULL if nobody does. */
static json_t *configuration(void)
{
	sl_auto_mem struct answer *answer = calloc(1, sizeof(*answer));
	CURL *curl = curl_easy_init();
	json_t *document, *ret = NULL;

	if (answer && curl) {
		curl_easy_setopt(curl, CURLOPT_URL, "http://" METRICS "/configz");
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 2000L);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
		if (curl_easy_perform(curl) == CURLE_OK) {
			document = json_loadb(answer->text, answer->len, 0, NULL);
			ret = json_incref(json_object_get(document, "kubeproxy.config.k8s.io"));
			json_decref(document);
		}
	}
	curl_easy_cleanup(curl);
	return ret;
}

json_t *migrate_running(void)
{
	json_t *pids = processes(), *config = configuration(), *ret;
	const json_t *mode = text_find(config, "Mode") ?: text_find(config, "mode");

	ret = json_pack("{s:b, s:O, s:s?, s:s?}", "running", json_array_size(pids) || config,
			"processes", pids, "metrics", config ? METRICS : NULL, "mode",
			json_string_value(mode));
	json_decref(pids);
	json_decref(config);
	return ret;
}

/* conntrack */

struct connections {
	json_int_t tcp, udp, sctp, other;
};

static const struct nlattr *find(const void *from, size_t len, uint16_t type)
{
	const char *at = from, *end = at + len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)at;

		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at)
			break;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
		at += NLA_ALIGN(attribute->nla_len);
	}
	return NULL;
}

static const struct nlattr *find_in(const struct nlattr *outer, uint16_t type)
{
	return outer ? find((const char *)outer + NLA_HDRLEN, outer->nla_len - NLA_HDRLEN, type)
		     : NULL;
}

static uint8_t byte_of(const struct nlattr *attribute)
{
	return attribute && attribute->nla_len > NLA_HDRLEN
		       ? *((const uint8_t *)attribute + NLA_HDRLEN)
		       : 0;
}

static void connections_begin(void *arg)
{
	*(struct connections *)arg = (struct connections) {};
}

static int read_connection(const struct nlmsghdr *message, void *arg)
{
	const char *at = (const char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	size_t len = (size_t)((const char *)message + message->nlmsg_len - at);
	const struct nlattr *status = find(at, len, CTA_STATUS), *tcp;
	struct connections *connections = arg;
	uint32_t bits;

	if (!status || status->nla_len < NLA_HDRLEN + sizeof(bits))
		return 0;
	memcpy(&bits, (const char *)status + NLA_HDRLEN, sizeof(bits));
	if (!(ntohl(bits) & IPS_DST_NAT))
		return 0;
	switch (byte_of(
		find_in(find_in(find(at, len, CTA_TUPLE_ORIG), CTA_TUPLE_PROTO), CTA_PROTO_NUM))) {
	case IPPROTO_TCP:
		/* What ends, or has ended, is nobody's concern. */
		tcp = find_in(find(at, len, CTA_PROTOINFO), CTA_PROTOINFO_TCP);
		connections->tcp +=
			byte_of(find_in(tcp, CTA_PROTOINFO_TCP_STATE)) <= TCP_CONNTRACK_ESTABLISHED;
		break;
	case IPPROTO_UDP:
		connections->udp++;
		break;
	case IPPROTO_SCTP:
		connections->sctp++;
		break;
	default:
		connections->other++;
	}
	return 0;
}

json_t *migrate_connections(int *error)
{
	struct connections found = {};

	*error = migrate_dump(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, AF_UNSPEC,
			      connections_begin, read_connection, &found);
	if (*error)
		return NULL;
	return json_pack("{s:I, s:I, s:I, s:I}", "tcp", found.tcp, "udp", found.udp, "sctp",
			 found.sctp, "other", found.other);
}
