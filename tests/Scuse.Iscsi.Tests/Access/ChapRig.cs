using System.Security.Cryptography;
using System.Text;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Access;

/// <summary>A node that asks for CHAP, with challenges that are known beforehand, and an initiator's steps through it.</summary>
static class ChapRig
{
    public const string User = "alice", Secret = "correct horse battery", OwnName = "the-target", OwnSecret = "target secret 123456";

    public static ChapSecret SecretOf(string text) => new(Encoding.UTF8.GetBytes(text));

    public static TargetAccess Asking(bool mutual = true, params ChapAlgorithm[] algorithms) => new()
    {
        Chap = new ChapAuthentication(
            [new ChapUser(User, SecretOf(Secret)), new ChapUser("bob", SecretOf("another secret of bob"))],
            mutual ? new ChapUser(OwnName, SecretOf(OwnSecret)) : null,
            algorithms.Length == 0 ? null : algorithms),
    };

    public static Node Node(TargetAccess? access = null)
    {
        var node = new Node(random: Count);
        node.IscsiTarget.Access = access ?? Asking();
        return node;
    }

    /// <summary>Random bytes for tests: 10h, 11h, 12h and so on.</summary>
    public static void Count(Span<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(0x10 + i);
        }
    }

    /// <summary>Sends keys in the security stage, and gets what comes back.</summary>
    public static Pdu Security(this Initiator initiator, bool transit, params string[] keys)
    {
        initiator.SendLogin(0, 1, transit, Initiator.Text(keys));
        return initiator.ReceiveOne();
    }

    /// <summary>As far as the challenge.</summary>
    public static Pdu Challenge(this Initiator initiator, string algorithms = "7", string[]? names = null)
    {
        Assert.Equal("AuthMethod=CHAP", initiator.Security(false, [.. names ?? Initiator.Names, "AuthMethod=CHAP,None"]).Text[^1]);
        return initiator.Security(false, $"CHAP_A={algorithms}");
    }

    /// <summary>The answer to the challenge of <see cref="Count"/>, by SHA-256.</summary>
    public static string Answer(string secret = Secret)
    {
        byte[] challenge = new byte[32];
        Count(challenge);
        return $"CHAP_R=0x{Convert.ToHexString(SHA256.HashData([0x10, .. Encoding.UTF8.GetBytes(secret), .. challenge]))}";
    }

    /// <summary>A whole login as a user, to the answer of its last step; <paramref name="more"/> is a key for the operational stage.</summary>
    public static Pdu LoginAs(
        this Initiator initiator, string user = User, string secret = Secret, string[]? names = null, ushort tsih = 0, ushort cid = 0, string? more = null)
    {
        Step(0, 1, false, [.. names ?? Initiator.Names, "AuthMethod=CHAP"]);
        Step(0, 1, false, "CHAP_A=7");
        Pdu answer = Step(0, 1, true, $"CHAP_N={user}", Answer(secret));
        return answer.Login.Status != 0 ? answer : Step(1, 3, true, more is null ? [] : [more]);

        Pdu Step(int stage, int next, bool transit, params string[] keys)
        {
            initiator.SendLogin(stage, next, transit, Initiator.Text(keys), tsih: tsih, cid: cid);
            return initiator.ReceiveOne();
        }
    }

    public static void MustFail(Pdu answer, LoginStatus status = LoginStatus.AuthenticationFailure)
    {
        Assert.Equal((ushort)status, answer.Login.Status);
        Assert.Empty(answer.Data);
    }
}
