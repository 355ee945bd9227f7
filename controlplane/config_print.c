/* SPDX-License-Identifier: Apache-2.0 */

/* What the table looks like: as help, as a file and as documentation. */

#include <stdlib.h>
#include <string.h>

#include "controlplane/config_table.h"

/* Writes the text in lines of up to `width` characters after `prefix`. */
static void print_wrapped(FILE *out, const char *prefix, const char *text, size_t width)
{
	while (*text) {
		size_t len = strlen(text);

		if (len > width) {
			len = width;
			while (len > 0 && text[len] != ' ')
				len--;
			if (len == 0)
				len = strcspn(text, " ");
		}
		fprintf(out, "%s%.*s\n", prefix, (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

/* "0 ... 9", "a, b", or nothing. */
static void print_values(FILE *out, const struct config_field *field)
{
	if (field->max)
		fprintf(out, "%u ... %u", field->min, field->max);
	for (int i = 0; field->choices && field->choices[i]; i++)
		fprintf(out, "%s%s", i ? ", " : "", field->choices[i]);
}

void config_print_help(FILE *out)
{
	char flag[CONFIG_FLAG_MAX];

	fprintf(out,
		"sluiced: a load balancer for Kubernetes Services in eBPF\n\n"
		"Usage: sluiced [--config FILE] [FLAG VALUE]...\n\n"
		"Flags with a value are fields of the file, too: --api-server is apiServer.\n\n");
	for (size_t i = 0; i < SL_COUNT(config_options); i++) {
		const struct config_option *option = &config_options[i];

		if (!option->help)
			continue;
		fprintf(out, "  %s%s%s%s%s\n", option->flag, option->letter ? ", " : "",
			option->letter ? option->letter : "", option->value ? " " : "",
			option->value ? option->value : "");
		print_wrapped(out, "        ", option->help, 72);
	}
	for (size_t i = 0; i < config_n_fields; i++) {
		const struct config_field *field = &config_fields[i];

		if (field->heading)
			fprintf(out, "\n%s\n", field->heading);
		fprintf(out, "  %s%s%s %s%s\n", config_flag(field, flag), field->letter ? ", " : "",
			field->letter ? field->letter : "", field->value,
			field->list ? ",..." : "");
		print_wrapped(out, "        ", field->help, 72);
		if (field->choices || field->max) {
			fprintf(out, "        Values: ");
			print_values(out, field);
			fputc('\n', out);
		}
		if (field->fallback)
			fprintf(out, "        Default: %s\n", field->fallback);
	}
}

void config_print_defaults(FILE *out)
{
	char flag[CONFIG_FLAG_MAX];

	fprintf(out, "# Configuration of sluiced: every field, with its default. A field without\n"
		     "# one is commented out. A flag of the same meaning wins.\n");
	for (size_t i = 0; i < config_n_fields; i++) {
		const struct config_field *field = &config_fields[i];

		if (field->heading)
			fprintf(out, "\n# --- %s ---\n", field->heading);
		fputc('\n', out);
		print_wrapped(out, "# ", field->help, 76);
		fprintf(out, "# Flag: %s", config_flag(field, flag));
		if (field->choices || field->max) {
			fprintf(out, ". Values: ");
			print_values(out, field);
		}
		fputc('\n', out);
		if (field->pairs)
			fprintf(out, "#%s:\n#  eth0: uplink\n", field->name);
		else if (!field->fallback)
			fprintf(out, "#%s: %s\n", field->name, field->value);
		else if (field->list)
			fprintf(out, "%s: [%s]\n", field->name, field->fallback);
		else
			fprintf(out, "%s: %s\n", field->name, field->fallback);
	}
}

void config_print_docs(FILE *out)
{
	char flag[CONFIG_FLAG_MAX];

	fprintf(out,
		"# Configuration of sluiced\n\n"
		"<!-- Written by `sluiced --print-config-docs`; change "
		"controlplane/config_table.c. "
		"-->\n\n"
		"`sluiced --config FILE` reads one YAML mapping of the fields below. Each field is "
		"a flag, too;\nflags win over the file. A field that is absent, empty or null has "
		"its default. In the file a\nlist is a YAML list; as a flag its items are "
		"separated "
		"by commas. `interfaces` is a mapping of\nnames to roles (`eth0: uplink`), and as "
		"a "
		"flag `--interfaces eth0=uplink,br0=none`.\n\n"
		"`sluiced --check-config` names the field and the line of what is wrong; `sluiced "
		"--print-defaults`\nwrites a commented file to begin with. How much memory the "
		"table "
		"sizes take: `lbctl map list`.\n");
	for (size_t i = 0; i < config_n_fields; i++) {
		const struct config_field *field = &config_fields[i];

		if (field->heading)
			fprintf(out,
				"\n## %s\n\n| field | flag | default | values | meaning |\n"
				"| --- | --- | --- | --- | --- |\n",
				field->heading);
		fprintf(out, "| `%s` | `%s%s%s %s%s` | %s%s%s | ", field->name,
			config_flag(field, flag), field->letter ? ", " : "",
			field->letter ? field->letter : "", field->value, field->list ? ",..." : "",
			field->fallback ? "`" : "", field->fallback ? field->fallback : "",
			field->fallback ? "`" : "");
		print_values(out, field);
		fprintf(out, " | %s |\n", field->help);
	}
	fprintf(out, "\n## Other flags\n\n| flag | meaning |\n| --- | --- |\n");
	for (size_t i = 0; i < SL_COUNT(config_options); i++) {
		const struct config_option *option = &config_options[i];

		if (option->help)
			fprintf(out, "| `%s%s%s%s%s` | %s |\n", option->flag,
				option->letter ? ", " : "", option->letter ? option->letter : "",
				option->value ? " " : "", option->value ? option->value : "",
				option->help);
	}
}
