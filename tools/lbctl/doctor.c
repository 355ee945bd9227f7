/* SPDX-License-Identifier: Apache-2.0 */

/* lbctl doctor: what on this node is in sluice's way, or relies on kube-proxy's ways. */

#include "tools/lbctl/doctor.h"

#include "tools/lbctl/text.h"

static int print(const struct lbctl *lbctl, const json_t *diagnosis)
{
	const json_t *findings = json_object_get(diagnosis, "findings"), *item;
	size_t i;

	json_array_foreach (findings, i, item)
		fprintf(lbctl->out, "%-8s %s\n         %s\n         Do: %s\n",
			text_string(item, "severity"), text_string(item, "where"),
			text_string(item, "what"), text_string(item, "todo"));
	fprintf(lbctl->out, "%s%zu findings\n", json_array_size(findings) ? "\n" : "",
		json_array_size(findings));
	json_array_foreach (json_object_get(diagnosis, "skipped"), i, item)
		fprintf(lbctl->out, "Not looked at: %s (%s)\n", text_string(item, "what"),
			text_string(item, "why"));
	return 0;
}

static json_t *addresses_of(const struct doctor *doctor)
{
	json_t *list = json_array();
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < doctor->n_addresses; i++)
		json_array_append_new(list,
				      json_string(ip_format(&doctor->addresses[i].addr,
							    doctor->addresses[i].family, text)));
	return list;
}

static int run(const struct lbctl *lbctl)
{
	struct doctor doctor;
	json_t *diagnosis;
	int code;

	if (doctor_init(&doctor))
		return lbctl_complain(lbctl, LBCTL_FAILED, "doctor: out of memory");
	code = doctor_collect(lbctl, &doctor);
	if (!code) {
		diagnosis = json_pack("{s:s, s:s, s:o, s:O, s:O}", "apiVersion", "sluice.dev/v1",
				      "kind", "Diagnosis", "addresses", addresses_of(&doctor),
				      "findings", doctor.findings, "skipped", doctor.skipped);
		code = output_document(lbctl, &verb_doctor, diagnosis);
		json_decref(diagnosis);
		if (!code && json_array_size(doctor.findings))
			code = LBCTL_FAILED;
	}
	doctor_done(&doctor);
	return code;
}

const struct verb verb_doctor = {
	.noun = "doctor",
	.summary = "Name what is in the way on this node, or relies on kube-proxy's ways",
	.help = "Looks, in the network namespace that it runs in, for\n"
		"  - rules of nftables and iptables that match an address of this node as source "
		"in\n"
		"    input, forward and postrouting (warning: it alone; notice: with others), "
		"and,\n"
		"    with --policies, ingress rules of NetworkPolicies whose ipBlock covers one: "
		"with\n"
		"    masquerade: compatible they mean clients, with minimal they don't\n"
		"  - kube-proxy's own rules while sluice serves\n"
		"  - snatPorts that processes of the node may get, too\n"
		"  - hooks that could not be attached, other programs' XDP, interfaces with a "
		"default\n"
		"    route but no role, a cgroup hierarchy that is missing\n"
		"Changes nothing. What can't be looked at, as without the daemon or nft, is "
		"listed.\n"
		"Sets of ipset, and rules that compare a masked source, are not looked into.\n"
		"\n"
		"  kubectl get networkpolicies -A -o yaml | lbctl doctor --policies -\n"
		"\n"
		"Exit code 0: nothing was found; 1: something was; 2: the policies can't be "
		"read.\n",
	.options = OPTION_DOCTOR,
	.print = print,
	.run = run,
};
