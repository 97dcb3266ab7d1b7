using System.Text;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.Login.Chap;
using Scuse.Iscsi.Negotiation;

namespace Scuse.Iscsi.Login;

/// <summary>The security stage of a login to something that asks for authentication. RFC 7143 sections 6.3.2 and 12.1.</summary>
internal sealed class SecurityNegotiation(ChapAuthentication authentication, RandomFill random)
{
    const string Chap = "CHAP";

    /// <summary>From the time that CHAP is agreed on.</summary>
    public ChapExchange? Exchange { get; private set; }

    /// <summary>Whether the initiator has proved who it is: the stage can be left.</summary>
    public bool IsComplete => Exchange?.User is not null;

    /// <summary>Takes the security keys out of one step's pairs and answers them. Null, or what is wrong with them.</summary>
    public string? Take(List<KeyValuePair<string, string>> pairs, StringBuilder reply)
    {
        Dictionary<string, string> keys = new(StringComparer.Ordinal);
        string? methods = null;
        foreach ((string key, string value) in pairs)
        {
            bool isMethod = key == KeyTable.AuthMethod;
            if ((isMethod && methods is not null) || (ChapExchange.IsKey(key) && !keys.TryAdd(key, value)))
            {
                return $"{key} comes twice";
            }

            methods = isMethod ? value : methods;
        }

        pairs.RemoveAll(static pair => pair.Key == KeyTable.AuthMethod || ChapExchange.IsKey(pair.Key));
        if (methods is not null)
        {
            return keys.Count > 0 ? "CHAP begins before it is agreed on" : Agree(methods, reply);
        }

        return Exchange is not null ? Exchange.Take(keys, reply)
            : keys.Count > 0 ? "CHAP begins before it is agreed on"
            : null;
    }

    string? Agree(string methods, StringBuilder reply)
    {
        if (Exchange is not null)
        {
            return "AuthMethod comes a second time";
        }

        if (!methods.Split(',').Contains(Chap))
        {
            return $"the initiator offers no CHAP: {Peer.Printable(methods)}";
        }

        TextPairs.Append(reply, KeyTable.AuthMethod, Chap);
        Exchange = new ChapExchange(authentication, random);
        return null;
    }
}
