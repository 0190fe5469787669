package bootloader

import (
	"fmt"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/slots"
)

// SlotMenuPath is the file of a slot's root filesystem that has its boot menu.
const SlotMenuPath = images.Dir + "/slot/menu.cfg"

// chooseSlot is the part of GRUB's menu that decides which slot comes first, and counts
// the tries of a system on trial. A try that cannot be counted is not made, as it might
// be made for ever. A menu entry can read what is exported.
const chooseSlot = `regexp --set=1:disk '^([^,]+),' "$root"
set state="($root)/` + slots.Path + `"
load_env --file "$state" good trial left
if [ "$good" != b ]; then set good=a; fi
set first="$good"
if [ -n "$trial" ]; then
  set next=""
  if [ "$left" = 3 ]; then set next=2; fi
  if [ "$left" = 2 ]; then set next=1; fi
  if [ "$left" = 1 ]; then set next=0; fi
  if [ -n "$next" ]; then
    set left="$next"
    if save_env --file "$state" left; then set first="$trial"; fi
  fi
fi
set words_a=""
set words_b=""
if [ "$first" != "$good" ]; then
  if [ "$first" = a ]; then set words_a="` + slots.TrialWords + `"; else set words_b="` + slots.TrialWords + `"; fi
fi
export disk words_a words_b
if [ "$first" = a ]; then set parts="gpt3 gpt5"; else set parts="gpt5 gpt3"; fi
for part in $parts; do
  menu="($disk,$part)` + SlotMenuPath + `"
  if [ -f "$menu" ]; then source "$menu"; fi
done
`

// slotsConf is GRUB's menu on the EFI system partition of a disk with two slots. It
// never changes: each slot brings its own entries. An entry that cannot be started is
// followed by the next one.
func slotsConf(timeout time.Duration) string {
	return grubConsoles + fmt.Sprintf("set default=0\nset fallback=\"1 2 3 4 5 6 7 8\"\nset timeout=%d\n", Menu{Timeout: timeout}.seconds()) + chooseSlot
}

// SlotEntry is an entry of a slot's boot menu. GRUB reads the kernel where the image has
// it.
type SlotEntry struct {
	ID, Title string
	// Kernel and Initrd are paths from the root of the slot's filesystem. Initrd may be "".
	Kernel, Initrd string
	// Words are those of the command line for the kernel, and InitWords those after "--"
	// for the first program, or "".
	Words, InitWords string
}

// SlotMenu returns the file at [SlotMenuPath] for a slot, whose filesystem is in the
// partition with a number.
func SlotMenu(slot slots.Name, partition int, entries []SlotEntry) ([]byte, error) {
	var b strings.Builder
	for _, e := range entries {
		for _, text := range []string{e.ID, e.Title, e.Kernel, e.Initrd} {
			if strings.ContainsFunc(text, control) {
				return nil, fmt.Errorf("make the boot menu of slot %s: %q has control characters", slot, text)
			}
		}
		if err := checkCmdline(strings.TrimSpace(e.Words + " " + e.InitWords)); err != nil {
			return nil, fmt.Errorf("make the boot menu of slot %s: %s: %w", slot, e.Title, err)
		}
		title := fmt.Sprintf("%s (slot %s)", e.Title, slot)
		part := fmt.Sprintf(`"($disk,gpt%d)"`, partition)
		fmt.Fprintf(&b, "menuentry %s --id %s {\n", grubQuote(title), grubQuote("slot-"+string(slot)+"-"+e.ID))
		fmt.Fprintf(&b, "  echo %s\n", grubQuote("Loading "+title+" ..."))
		fmt.Fprintf(&b, "  linux %s%s %s $words_%s", part, grubQuote(e.Kernel), grubWords(e.Words), string(slot))
		if e.InitWords != "" {
			b.WriteString(" -- " + grubWords(e.InitWords))
		}
		b.WriteString("\n")
		if e.Initrd != "" {
			fmt.Fprintf(&b, "  initrd %s%s\n", part, grubQuote(e.Initrd))
		}
		b.WriteString("}\n")
	}
	return []byte(b.String()), nil
}

// SlotFiles returns the files of the EFI system partition of a disk with two slots, with
// slot A as the good one. GRUB starts the kernels of both, by BIOS and by UEFI: with
// shim where signatures are wanted, and else at the path where firmware looks for a
// loader.
func (s SecureBoot) SlotFiles(a Arch, timeout time.Duration, loaders Files) ([]fat.File, error) {
	efi := efiNamesOf(a)
	programs := []struct{ path, name string }{{"EFI/BOOT/" + efi.fallback, efi.grub}}
	if s.Shim {
		programs = shimPrograms(efi)
	}
	var files []fat.File
	for _, f := range programs {
		content, err := loaders.Get(f.name)
		if err != nil {
			return nil, err
		}
		files = append(files, fat.Bytes(f.path, content))
	}
	menu := []byte(slotsConf(timeout))
	return append(files, fat.Bytes(grubMenu, menu), fat.Bytes("grub/grub.cfg", menu), fat.Bytes(slots.Path, slots.Accepted(slots.A).Block())), nil
}
