# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Sourced by tests/fuzz/check and contrib/fuzz: where a harness begins.

# seed_folders TESTS NAME: the folders of the corpus, TESTS being the folder tests/
seed_folders() {
	case $2 in
	differential | judge) set -- "$1" "$2" hello http ;;
	esac
	tests=$1
	shift
	for name; do
		echo "$tests/corpus/$name"
	done
}

# dictionary TESTS NAME: words that libFuzzer puts into inputs
dictionary() {
	case $2 in
	differential | judge) cat "$1/fuzz/tls.dict" "$1/fuzz/http.dict" ;;
	hello | retry) cat "$1/fuzz/tls.dict" ;;
	http | chunks) cat "$1/fuzz/http.dict" ;;
	answers) cat "$1/fuzz/http.dict" "$1/fuzz/answers.dict" ;;
	ini) cat "$1/fuzz/ini.dict" ;;
	esac
}
