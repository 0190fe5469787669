package image

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/images/metadata"
)

func importCommand() *cobra.Command {
	var asJSON bool
	f := imageflags.Image{Bare: true, Registry: &imageflags.Registry{}}
	cmd := &cobra.Command{
		Use: "import SRC DIR", Short: "Unpack an image into a directory of its own", Args: exit.ExactArgs(2),
		Long: `Unpack an image into a new directory, with the owners, modes, extended
attributes, devices and links of its files. Some of these only root can set. If
you are not root, they are recorded in ` + metadata.Path + `, and cloudlets
reads the directory as it is recorded there. SRC needs no manifest; "cloudlets
init" writes one.

SRC can also be the name of an image in a container registry: HOST/NAME:TAG, or
docker://NAME:TAG, where the host is Docker Hub if there is none. A file or
directory with that name is preferred, unless the name begins with docker://. Of an image for
several platforms you get the one for this machine, or that of --platform.
Layers are kept in your cache folder (8 GiB at most), so that none is fetched
twice. Credentials are those of "docker login" and "podman login".`,
		Example: `  cloudlets import debian-12.tar.zst web && cloudlets init web
  docker save web | cloudlets import - web
  cloudlets import docker://debian:12 debian
  cloudlets import registry.example.net/web:1 web --platform linux/arm64`,
	}
	f.Add(cmd)
	f.Registry.Add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was unpacked as JSON")
	cmd.RunE = importE(&f, &asJSON)
	return cmd
}
