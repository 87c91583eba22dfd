// SPDX-License-Identifier: Apache-2.0

extension DomainXMLTests {
    /// Reviewed by eye: a change here is a change of every guest's hardware.
    static let expected = """
        <domain type='qemu'>
          <name>instance-0000002a</name>
          <uuid>5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b</uuid>
          <title>web &amp; &lt;mail&gt; host</title>
          <metadata>
            <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
              <nova:package version='apus'/>
              <nova:name>web &amp; &lt;mail&gt;&#10;host</nova:name>
              <nova:creationTime>2026-11-20 10:00:00</nova:creationTime>
              <nova:flavor name='m1.tiny' id='1'>
                <nova:memory>512</nova:memory>
                <nova:disk>10</nova:disk>
                <nova:swap>0</nova:swap>
                <nova:ephemeral>0</nova:ephemeral>
                <nova:vcpus>2</nova:vcpus>
              </nova:flavor>
              <nova:owner>
                <nova:user uuid='u1'>ann</nova:user>
                <nova:project uuid='p1'>demo</nova:project>
              </nova:owner>
              <nova:root type='image' uuid='i1'/>
              <nova:ports>
                <nova:port uuid='8c2a9f1e-0d3b-4c57-9a11-2f6c1f7b9d10'>
                  <nova:ip type='fixed' address='10.0.0.5' ipVersion='4'/>
                  <nova:ip type='fixed' address='fd00::5' ipVersion='6'/>
                </nova:port>
              </nova:ports>
            </nova:instance>
            <apus:guest xmlns:apus='urn:apus:compute:guest:1' version='1' card='virtio'/>
          </metadata>
          <memory unit='MiB'>512</memory>
          <vcpu placement='static'>2</vcpu>
          <sysinfo type='smbios'>
            <system>
              <entry name='manufacturer'>OpenStack Foundation</entry>
              <entry name='product'>OpenStack Nova</entry>
              <entry name='version'>apus</entry>
              <entry name='serial'>5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b</entry>
              <entry name='uuid'>5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b</entry>
              <entry name='family'>Virtual Machine</entry>
            </system>
          </sysinfo>
          <os>
            <type arch='x86_64' machine='pc'>hvm</type>
            <boot dev='hd'/>
            <smbios mode='sysinfo'/>
          </os>
          <features>
            <acpi/>
            <apic/>
            <tcg>
              <tb-cache unit='MiB'>32</tb-cache>
            </tcg>
          </features>
          <cpu mode='custom' match='exact'>
            <model fallback='forbid'>qemu64</model>
            <topology sockets='2' cores='1' threads='1'/>
          </cpu>
          <clock offset='utc'>
          </clock>
          <on_poweroff>destroy</on_poweroff>
          <on_reboot>restart</on_reboot>
          <on_crash>destroy</on_crash>
          <devices>
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
              <source file='/srv/instances/5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b/disk'/>
              <target dev='vda' bus='virtio'/>
            </disk>
            <disk type='file' device='cdrom'>
              <driver name='qemu' type='raw'/>
              <source file='/srv/instances/5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b/disk.config'/>
              <target dev='hda' bus='ide'/>
              <readonly/>
            </disk>
            <interface type='ethernet'>
              <mac address='fa:16:3e:00:00:01'/>
              <target dev='tap8c2a9f1e-0d' managed='no'/>
              <model type='virtio'/>
              <driver name='qemu'>
                <host csum='off' gso='off' tso4='off' tso6='off' ecn='off' ufo='off' mrg_rxbuf='off'/>
                <guest csum='off' tso4='off' tso6='off' ecn='off' ufo='off'/>
              </driver>
              <mtu size='1442'/>
              <alias name='ua-8c2a9f1e-0d3b-4c57-9a11-2f6c1f7b9d10'/>
            </interface>
            <serial type='pty'>
              <log file='/srv/instances/5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b/console.log' append='on'/>
              <target port='0'/>
            </serial>
            <channel type='unix'>
              <target type='virtio' name='org.qemu.guest_agent.0'/>
            </channel>
            <graphics type='vnc' socket='/srv/vnc/5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b'/>
            <video>
              <model type='vga'/>
            </video>
            <rng model='virtio'>
              <backend model='random'>/dev/urandom</backend>
            </rng>
            <memballoon model='virtio'>
              <stats period='10'/>
            </memballoon>
          </devices>
        </domain>

        """
}
