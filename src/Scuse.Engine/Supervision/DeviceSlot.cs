using System.Security.Cryptography;
using System.Text;
using Scuse.Device;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Target;

namespace Scuse.Engine.Supervision;

/// <summary>A device that a handler can attach to: joins the attach server, the backstore and the supervisor of one logical unit.</summary>
/// <remarks>Touched by the attach server's thread; what concerns commands is handed on to the reactor.</remarks>
sealed class DeviceSlot(LunOptions options, string targetName, UserBackstore backstore, Reactor reactor)
{
    public LunOptions Options { get; } = options;

    /// <summary>
    /// The unit serial number: made of the target's name and the logical unit number, so that it survives restarts and differs between engines.
    /// </summary>
    public string Serial { get; } = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{targetName}/{options.Number}")).AsSpan(0, 8));

    /// <summary>The handler's connection; null while there is none.</summary>
    public AttachSession? Session { get; set; }

    /// <summary>The block size that initiators have seen; it cannot change under them.</summary>
    public int? BlockSize { get; set; }

    /// <summary>The one who starts the handler; null when somebody else does.</summary>
    public HandlerSupervisor? Supervisor { get; set; }

    /// <summary>Whether commands are under way that a handler will answer; those that wait for one to attach would wait too long. For the reactor's thread.</summary>
    public bool IsBusy => backstore.IsAttached && backstore.LogicalUnit.TaskCount > 0;

    public void OnAttached(HandlerLink link, BlockDeviceInfo info, PassLevel level) => reactor.Post(() =>
    {
        backstore.Attach(link, info, level);
        Supervisor?.OnAttached();
    });

    public void OnDetached(HandlerLink link, string reason, bool asPlanned)
    {
        reactor.Post(() => backstore.Detach(link, reason, asPlanned));
        Supervisor?.OnDetached();
    }

    public void OnFailed(string message) => Supervisor?.OnFailed(message);

    public void OnNotAttached(string reason) => Supervisor?.OnNotAttached(reason);
}
