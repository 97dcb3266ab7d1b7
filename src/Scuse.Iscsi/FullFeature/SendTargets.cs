using System.Text;
using Scuse.Iscsi.Negotiation;

namespace Scuse.Iscsi.FullFeature;

/// <summary>The answer to SendTargets. RFC 7143 section 13.3 and appendix C.</summary>
internal static class SendTargets
{
    const string All = "All";

    /// <summary>
    /// Appends the records asked for: all targets (in a discovery session only), one by name, or with an empty value the session's own.
    /// An initiator is told only of the targets that it may log in to. A name that is not to be told gets an empty answer; what is not allowed in the session gets Reject.
    /// </summary>
    public static void Answer(string value, IscsiSession session, IscsiConnection connection, StringBuilder reply)
    {
        IscsiServer server = session.Server;
        string localAddress = connection.LocalAddress;
        if (value == All && session.IsDiscovery)
        {
            foreach (IscsiTarget target in server.Entity.Targets.Where(target => target.Access.Admits(session.InitiatorName, connection.RemoteIP)))
            {
                Append(target, server, localAddress, reply);
            }
        }
        else if (value == All || (value.Length == 0 && session.IsDiscovery))
        {
            TextPairs.Append(reply, KeyTable.SendTargets, KeyResult.Reject);
        }
        else if (value.Length == 0)
        {
            Append(session.Node!, server, localAddress, reply);
        }
        else if (server.Find(value, session.InitiatorName, connection.RemoteIP) is { } named && (session.IsDiscovery || named == session.Node))
        {
            Append(named, server, localAddress, reply);
        }
    }

    /// <summary>A target and every portal that reaches it: all of the node's, which are one portal group. One that has moved for good is told by where it is now.</summary>
    static void Append(IscsiTarget target, IscsiServer server, string localAddress, StringBuilder reply)
    {
        TextPairs.Append(reply, KeyTable.TargetName, target.Name);
        if (target.Redirection is { IsPermanent: true } moved)
        {
            TextPairs.Append(reply, KeyTable.TargetAddress, $"{moved.Address},{moved.PortalGroupTag}");
            return;
        }

        if (server.Entity.Portals.Count == 0)
        {
            Append(IscsiPortal.Resolve(advertised: null, localAddress), server, reply);
        }

        foreach (IscsiPortal portal in server.Entity.Portals)
        {
            if (portal.AddressFor(localAddress) is { } address)
            {
                Append(address, server, reply);
            }
        }
    }

    static void Append(string address, IscsiServer server, StringBuilder reply) =>
        TextPairs.Append(reply, KeyTable.TargetAddress, $"{address},{server.Options.TargetPortalGroupTag}");
}
