/* SPDX-License-Identifier: Apache-2.0 */

#include <locale.h>

#include "tools/lbctl/lbctl.h"

int main(int argc, char *argv[])
{
	setlocale(LC_CTYPE, "");
	return lbctl_run(argc, argv, stdout, stderr);
}
