package commands_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		kind    vcs.Kind
		args    string
		effect  commands.Effect
		commits bool
	}{
		{vcs.Git, "log -p", commands.Nothing, false},
		{vcs.Git, "-c a=b --no-pager log", commands.Nothing, false},
		{vcs.Git, "status", commands.Looks, false},
		{vcs.Git, "-C sub commit -m x", commands.Looks, true},
		{vcs.Git, "add .", commands.Moves, false},
		{vcs.Git, "checkout main", commands.Changes, false},
		{vcs.Git, "rebase --continue", commands.Changes, true},
		{vcs.Git, "frobnicate", commands.Changes, false},
		{vcs.Git, "ci -m x", commands.Looks, true},
		{vcs.Git, "init", commands.Creates, false},
		{vcs.Git, "clone x", commands.Clones, false},
		{vcs.Git, "--version", commands.Nothing, false},
		{vcs.Hg, "ci -m x", commands.Looks, true},
		{vcs.Hg, "commi -m x", commands.Looks, true},
		{vcs.Hg, "--cwd x status", commands.Looks, false},
		{vcs.Hg, "update", commands.Changes, false},
		{vcs.Hg, "mv a b", commands.Moves, false},
	} {
		alias := func(_ []string, name string) []string { return strings.Fields(map[string]string{"ci": "commit"}[name]) }
		c := commands.Read(tt.kind, strings.Fields(tt.args), alias)
		if c.Effect != tt.effect || c.Commits != tt.commits {
			t.Errorf("%s %s: effect %d, commits %v; want %d, %v", tt.kind, tt.args, c.Effect, c.Commits, tt.effect, tt.commits)
		}
	}
}

// TestAlias: an alias counts as what it stands for, with the options of both.
func TestAlias(t *testing.T) {
	c := commands.Read(vcs.Git, []string{"-C", "sub", "sv", "v1"}, func(global []string, name string) []string {
		if name != "sv" || !slices.Equal(global, []string{"-C", "sub"}) {
			t.Errorf("asked for the alias %q after %q", name, global)
		}
		return []string{"--literal-pathspecs", "commit", "-i"}
	})
	want := commands.Command{
		Kind: vcs.Git, Name: "commit", At: 2, Effect: commands.Looks, Commits: true,
		Global: []string{"-C", "sub", "--literal-pathspecs"}, Args: []string{"-i", "v1"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestCommitting(t *testing.T) {
	for _, tt := range []struct {
		kind vcs.Kind
		args string
		want commands.Committing
	}{
		{vcs.Git, "commit -m a", commands.Committing{}},
		{vcs.Git, "commit -am a", commands.Committing{All: true}},
		{vcs.Git, "commit -m a etc/hosts", commands.Committing{Paths: []string{"etc/hosts"}, Only: true}},
		{vcs.Git, "commit -i -m a etc/hosts", commands.Committing{Paths: []string{"etc/hosts"}}},
		{vcs.Git, "commit --mess a -- -f", commands.Committing{Paths: []string{"-f"}, Only: true}},
		{vcs.Hg, "commit -A", commands.Committing{All: true}},
		{vcs.Hg, "commit -m A", commands.Committing{}},
	} {
		c := commands.Read(tt.kind, strings.Fields(tt.args), nil).Committing()
		if c.All != tt.want.All || c.Only != tt.want.Only || !slices.Equal(c.Paths, tt.want.Paths) {
			t.Errorf("%s %s: got %+v, want %+v", tt.kind, tt.args, c, tt.want)
		}
	}
}

// TestTaking: nil says that a command takes no files one by one.
func TestTaking(t *testing.T) {
	type taking = commands.Taking
	for _, tt := range []struct {
		kind vcs.Kind
		args string
		want *taking
	}{
		{vcs.Git, "restore a", &taking{Paths: []string{"a"}, Files: true}},
		{vcs.Git, "restore -S a", &taking{Revision: "HEAD", Paths: []string{"a"}, Index: true}},
		{vcs.Git, "restore -sv1 -SW a", &taking{Revision: "v1", Paths: []string{"a"}, Files: true, Index: true}},
		{vcs.Git, "restore --ours a", nil},
		{vcs.Git, "checkout v1", nil},
		{vcs.Git, "checkout v1 a", &taking{Revision: "v1", Paths: []string{"a"}, Files: true, Index: true}},
		{vcs.Git, "checkout -- v1", &taking{Paths: []string{"v1"}, Files: true}},
		{vcs.Git, "checkout -b new v1", nil},
		{vcs.Git, "checkout --pathspec-from-file=list --pathspec-file-nul", &taking{List: "list", Zeroed: true, Files: true}},
		{vcs.Git, "reset -p", &taking{Revision: "HEAD", Index: true, Parts: true}},
		{vcs.Git, "reset --hard", nil},
		{vcs.Git, "stash push a", &taking{Revision: "HEAD", Paths: []string{"a"}, Files: true, Index: true}},
		{vcs.Git, "stash", nil},
		{vcs.Git, "status", nil},
		{vcs.Hg, "rev -r 3 a", &taking{Revision: "3", Paths: []string{"a"}, Files: true}},
		{vcs.Hg, "revert -d 2020 -I x", &taking{Revision: `last(date("2020"))`, Paths: []string{"--include", "x"}, Files: true}},
		{vcs.Hg, "revert", nil},
		{vcs.Hg, "revert -n a", nil},
		{vcs.Hg, "update a", nil},
	} {
		got := commands.Read(tt.kind, strings.Fields(tt.args), nil).Taking(func(word string) bool { return word == "v1" })
		if got != nil && len(got.Paths) == 0 {
			got.Paths = nil
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %s: got %+v, want %+v", tt.kind, tt.args, got, tt.want)
		}
	}
}

func TestSplitLines(t *testing.T) {
	got := commands.SplitLines([]byte("a b\r\n\n\"\\303\\244 \\\"\"\n\"half\nlast"))
	if want := []string{"a b", "ä \"", "\"half", "last"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
