using System.Text;
using Scuse.Iscsi.Negotiation;

namespace Scuse.Iscsi.FullFeature;

/// <summary>The answer to SendTargets. RFC 7143 section 13.3 and appendix C.</summary>
internal static class SendTargets
{
    const string All = "All";
    const string AnyIPv4 = "0.0.0.0";
    const string AnyIPv6 = "[::]";

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
            foreach (IscsiTarget target in server.Targets.Where(target => target.Access.Admits(session.InitiatorName, connection.RemoteIP)))
            {
                Append(target.Name, server.Options, localAddress, reply);
            }
        }
        else if (value == All || (value.Length == 0 && session.IsDiscovery))
        {
            TextPairs.Append(reply, KeyTable.SendTargets, KeyResult.Reject);
        }
        else if (value.Length == 0)
        {
            Append(session.Target!.Name, server.Options, localAddress, reply);
        }
        else if (server.Find(value, session.InitiatorName, connection.RemoteIP) is { } named && (session.IsDiscovery || named == session.Node))
        {
            Append(named.Name, server.Options, localAddress, reply);
        }
    }

    static void Append(string name, IscsiOptions options, string localAddress, StringBuilder reply)
    {
        TextPairs.Append(reply, KeyTable.TargetName, name);
        TextPairs.Append(reply, KeyTable.TargetAddress, $"{Portal(options.AdvertisedPortal, localAddress)},{options.TargetPortalGroupTag}");
    }

    /// <summary>The portal to tell: the advertised one unless it is a wildcard; IPv6 addresses in brackets.</summary>
    internal static string Portal(string? advertised, string localAddress)
    {
        if (advertised is null)
        {
            return Bracketed(localAddress);
        }

        int colon = advertised.LastIndexOf(':');
        string host = colon < 0 ? advertised : advertised[..colon];
        if (host is AnyIPv4 or AnyIPv6 or "*" or "")
        {
            string local = Bracketed(localAddress);
            return colon < 0 ? local : string.Concat(local.AsSpan(0, local.LastIndexOf(':')), advertised.AsSpan(colon));
        }

        return advertised;
    }

    /// <summary>Puts the address of an <c>address:port</c> in brackets when it has colons of its own.</summary>
    static string Bracketed(string portal)
    {
        int colon = portal.LastIndexOf(':');
        bool isBareIPv6 = colon > 0 && portal[0] != '[' && portal.AsSpan(0, colon).Contains(':');
        return isBareIPv6 ? $"[{portal[..colon]}]{portal[colon..]}" : portal;
    }
}
