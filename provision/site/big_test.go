package site_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestHugeFilesAreReadOrRefused(t *testing.T) {
	var keys strings.Builder
	for i := range 50000 {
		fmt.Fprintf(&keys, "\"k%d\": %d,\n", i, i)
	}
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"config": {"args": {` + keys.String() + `}}}`,
		"machines/" + mac2 + ".json": "{" + keys.String() + "}",
		"profiles/big.json":          strings.Repeat(" ", 1<<20) + "{}",
	}))
	if n := len(spec(t, s, mac1).Config.Args); n != 50000 {
		t.Errorf("%d of 50000 args", n)
	}
	if n := len(s.Problems()); n > 100 {
		t.Errorf("%d problems are told", n)
	}
	if want := "profiles/big.json: cannot be read: it is larger than 1 MiB"; !strings.Contains(problems(s), want) {
		t.Errorf("got\n%.300s\nwant %s", problems(s), want)
	}
}
