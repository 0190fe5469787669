# Switches the only system of a Redfish service with OpenStack's client.
# sushy_drive.py URL CERTIFICATE
import os
import sys

import sushy
from sushy import auth

url, certificate = sys.argv[1:]
login = auth.SessionAuth(os.environ["BMC_USER"], os.environ["BMC_PASSWORD"])
service = sushy.Sushy(url, auth=login, verify=certificate)
(system,) = service.get_system_collection().get_members()
assert system.power_state == sushy.PowerState.OFF, system.power_state
system.set_system_boot_options(target=sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE)
system.refresh(force=True)
assert system.boot.target == sushy.BootSource.PXE, system.boot
system.reset_system(sushy.ResetType.ON)
system.refresh(force=True)
assert system.power_state == sushy.PowerState.ON, system.power_state
assert system.boot.enabled == sushy.BootSourceOverrideEnabled.DISABLED, system.boot
system.reset_system(sushy.ResetType.GRACEFUL_SHUTDOWN)
