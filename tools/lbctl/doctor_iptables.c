/* SPDX-License-Identifier: Apache-2.0 */

/* Rules as iptables-save and ip6tables-save write them. Sets of ipset are not looked into. */

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tools/lbctl/doctor.h"

#define WORDS 128
#define NAME  128

/* kube-proxy's own; kube-router's and kubelet's chains begin with KUBE-, too. */
static bool is_kube_proxys(const char *chain)
{
	static const char *const names[] = {
		"KUBE-SERVICES",    "KUBE-NODEPORTS",
		"KUBE-SVC-",	    "KUBE-SVL-",
		"KUBE-SEP-",	    "KUBE-FW-",
		"KUBE-EXT-",	    "KUBE-XLB-",
		"KUBE-MARK-",	    "KUBE-FORWARD",
		"KUBE-POSTROUTING", "KUBE-EXTERNAL-SERVICES",
		"KUBE-PROXY-",	    "KUBE-LOAD-BALANCER",
		"KUBE-NODE-PORT",   "KUBE-SOURCE-RANGES-FIREWALL",
		"KUBE-IPVS-",
	};

	for (size_t i = 0; i < SL_COUNT(names); i++)
		if (!strncmp(chain, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Splits at spaces, but not in quotes. Returns how many words there are. */
static size_t split(char *line, char *words[WORDS])
{
	size_t n = 0;

	while (n < WORDS) {
		line += strspn(line, " ");
		if (!*line)
			break;
		words[n++] = line;
		for (bool quoted = false; *line && (quoted || *line != ' '); line++) {
			if (*line == '\\' && line[1])
				line++;
			else if (*line == '"')
				quoted = !quoted;
		}
		if (*line)
			*line++ = '\0';
	}
	return n;
}

static void full_name(const char *table, const char *chain, char ret[NAME])
{
	snprintf(ret, NAME, "%.40s %.60s", table, chain);
}

static bool is_hook(const char *chain)
{
	return !strcmp(chain, "INPUT") || !strcmp(chain, "FORWARD") ||
	       !strcmp(chain, "POSTROUTING");
}

static void read_jumps(struct doctor_chains *chains, const char *table, char *words[], size_t n)
{
	char from[NAME], to[NAME];

	full_name(table, words[1], from);
	if (is_hook(words[1]))
		doctor_chains_begin(chains, from);
	for (size_t i = 2; i + 1 < n; i++) {
		if (strcmp(words[i], "-j") && strcmp(words[i], "-g"))
			continue;
		full_name(table, words[i + 1], to);
		doctor_chains_jump(chains, from, to);
	}
}

static void look(struct doctor *doctor, const struct doctor_chains *chains, const char *program,
		 const char *table, char *words[], size_t n, size_t number)
{
	char name[NAME], where[320], address[IP_TEXT_MAX];
	bool kube_proxys = is_kube_proxys(words[1]);

	full_name(table, words[1], name);
	for (size_t i = 2; i + 1 < n; i++)
		if (!strcmp(words[i], "-j") && is_kube_proxys(words[i + 1]))
			kube_proxys = true;
	if (kube_proxys || !doctor_chains_reached(chains, name))
		return;
	snprintf(where, sizeof(where), "%s: table %.40s, chain %.60s, rule %zu", program, table,
		 words[1], number);
	for (size_t i = 2; i + 1 < n; i++) {
		if (strcmp(words[i], "-s") && strcmp(words[i], "--src-range"))
			continue;
		doctor_find_rule(doctor, doctor_match_text(doctor, words[i + 1], address),
				 !strcmp(words[i - 1], "!"), address, where);
	}
}

/* Twice over the text: chains first, then what is in those that are reached. */
static void walk(struct doctor *doctor, struct doctor_chains *chains, const char *text,
		 const char *program, bool looking)
{
	char table[64] = "", chain[64] = "", *words[WORDS];
	sl_auto_mem char *copy = strdup(text);
	char *rest = copy, *line;
	size_t number = 0;

	while (copy && (line = strsep(&rest, "\n"))) {
		if (*line == '*')
			snprintf(table, sizeof(table), "%s", line + 1);
		if (strncmp(line, "-A ", 3) != 0)
			continue;
		size_t n = split(line, words);
		if (n < 3)
			continue;
		number = strcmp(chain, words[1]) ? 1 : number + 1;
		snprintf(chain, sizeof(chain), "%s", words[1]);
		if (looking)
			look(doctor, chains, program, table, words, n, number);
		else
			read_jumps(chains, table, words, n);
	}
}

void doctor_iptables(struct doctor *doctor, const char *text, const char *program)
{
	struct doctor_chains chains;

	if (!doctor_chains_init(&chains)) {
		walk(doctor, &chains, text, program, false);
		doctor_chains_spread(&chains);
		walk(doctor, &chains, text, program, true);
	}
	doctor_chains_done(&chains);
}
