"""Finds the datasource of a root folder with Debian's cloud-init, as its stages do, and
prints what it was told. Usage: read.py ROOT local|network [PLATFORM]"""
import json
import sys

from cloudinit import distros, helpers, sources, util
from cloudinit.reporting import events
from cloudinit.sources import DataSourceEc2

root, stage = sys.argv[1:3]
if len(sys.argv) > 3:  # what the firmware says that the machine is
    DataSourceEc2.identify_platform = lambda: sys.argv[3]
config = util.read_conf(root + "/etc/cloud/cloud.cfg.d/99-cloudlets.cfg")
paths = helpers.Paths({"cloud_dir": root + "/var/lib/cloud", "run_dir": root + "/run"})
distro = distros.fetch("debian")("debian", {}, paths)
needs = [sources.DEP_FILESYSTEM] + ([sources.DEP_NETWORK] if stage == "network" else [])
source, name = sources.find_source(
    config, distro, paths, needs, config["datasource_list"], ["cloudinit.sources"], events.ReportEventStack("test", "test", reporting_enabled=False)
)


def text(raw):
    return raw.decode() if isinstance(raw, bytes) else raw


user = text(source.get_userdata_raw())
print(json.dumps({
    "datasource": name,
    "instance": source.get_instance_id(),
    "hostname": str(getattr(source.get_hostname(), "hostname", source.get_hostname())),
    "keys": source.get_public_ssh_keys(),
    "user": user,
    "config": util.load_yaml(user) if user and user.startswith("#cloud-config") else None,
    "vendor": text(source.get_vendordata_raw()),
    "network": config.get("network"),
    "metadata": source.metadata,
    "token": bool(getattr(source, "_api_token", None)),
}))
