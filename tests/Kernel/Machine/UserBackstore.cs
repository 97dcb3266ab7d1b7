using System.Globalization;

namespace Scuse.Kernel;

/// <summary>A user backstore of the guest's own target, made and mapped through configfs. When it is disposed of it is unmapped and gone.</summary>
sealed class UserBackstore : IAsyncDisposable
{
    const string Target = "/sys/kernel/config/target";
    const string Iqn = "iqn.2026-11.example.guest:lio", Iscsi = Target + "/iscsi/" + Iqn;

    static int s_count;

    readonly Guest _guest;
    readonly string _name;
    readonly int _number = Interlocked.Increment(ref s_count);

    UserBackstore(Guest guest, string name) => (_guest, _name) = (guest, name);

    /// <summary>Its folder in configfs.</summary>
    public string Folder => $"{Target}/core/user_0/{_name}";

    string Loop => string.Create(CultureInfo.InvariantCulture, $"{Target}/loopback/naa.50014050000{_number:x5}");

    string Nexus => string.Create(CultureInfo.InvariantCulture, $"naa.50014051000{_number:x5}");

    /// <summary>Makes and enables one, with settings such as <c>hw_block_size=4096</c> and attributes to be set before it is mapped.</summary>
    public static async Task<UserBackstore> CreateAsync(Guest guest, string name, string configuration, long sizeBytes, string settings = "hw_block_size=512", params (string Name, string Value)[] attributes)
    {
        UserBackstore backstore = new(guest, name);
        await guest.MustRunAsync($"""
            set -e
            mkdir -p {backstore.Folder}
            echo 'dev_config={configuration},dev_size={sizeBytes},{settings}' >{backstore.Folder}/control
            echo 1 >{backstore.Folder}/enable
            {string.Join('\n', attributes.Select(attribute => $"echo '{attribute.Value}' >{backstore.Folder}/attrib/{attribute.Name}"))}
            """);
        return backstore;
    }

    /// <summary>Makes a disk of the guest itself of it (tcm_loop); its path.</summary>
    public async Task<string> MapLocallyAsync()
    {
        string address = (await _guest.MustRunAsync($"""
            set -e
            mkdir -p {Loop}/tpgt_1/lun/lun_0
            echo -n {Nexus} >{Loop}/tpgt_1/nexus
            ln -s {Folder} {Loop}/tpgt_1/lun/lun_0/link
            cat {Loop}/tpgt_1/address
            """)).Trim();
        return (await GuestDisk.WaitForAsync(_guest, $"/sys/class/scsi_device/{address}:0/device/block/sd*"))[0];
    }

    /// <summary>Has LIO export it by iSCSI, and the guest's open-iscsi log in there; the disk's path.</summary>
    public async Task<string> MapByIscsiAsync()
    {
        await OpenIscsi.StartDaemonAsync(_guest);
        await _guest.MustRunAsync($"""
            set -e
            mkdir -p /etc/target {Iscsi}/tpgt_1/lun/lun_0 {Iscsi}/tpgt_1/np/127.0.0.1:3260
            cd {Iscsi}/tpgt_1
            echo 0 >attrib/authentication; echo 0 >attrib/demo_mode_write_protect; echo 1 >attrib/generate_node_acls; echo 1 >attrib/cache_dynamic_acls
            ln -s {Folder} lun/lun_0/link
            echo 1 >enable
            cd /
            iscsiadm -m discovery -t st -p 127.0.0.1 >/dev/null
            iscsiadm -m node -T {Iqn} -p 127.0.0.1 --login >/dev/null
            """);
        return (await GuestDisk.WaitForAsync(_guest, GuestDisk.OfIscsi))[0];
    }

    /// <summary>Unmaps and removes it, as an operator would, whatever is under way.</summary>
    public async Task RemoveAsync(double seconds = 240) => (await _guest.RunAsync(Removal, seconds)).OrThrow();

    public async ValueTask DisposeAsync() => await _guest.RunAsync(Removal);

    // Links first: what hangs on them waits for commands to end. What is not there any more is passed over.
    string Removal => $$"""
        iscsiadm -m node -T {{Iqn}} --logout >/dev/null 2>&1; iscsiadm -m node -T {{Iqn}} -o delete >/dev/null 2>&1
        [ ! -d {{Iscsi}} ] || { cd {{Iscsi}}/tpgt_1; echo 0 >enable; rm lun/lun_0/link; rmdir lun/lun_0 np/* ; cd /; rmdir {{Iscsi}}/tpgt_1 {{Iscsi}}; }
        [ ! -d {{Loop}} ] || { cd {{Loop}}/tpgt_1; rm lun/lun_0/link; rmdir lun/lun_0; echo NULL >nexus; cd /; rmdir {{Loop}}/tpgt_1 {{Loop}}; }
        [ ! -d {{Folder}} ] || rmdir {{Folder}}
        [ ! -d {{Folder}} ]
        """;
}
