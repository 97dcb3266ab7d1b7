using Scuse.Iscsi.Tests.Access;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Hostile;

/// <summary>Login requests at random, most of them right in themselves, at a target that asks for CHAP.</summary>
public class RandomLogins
{
    const int Logins = 20_000;

    static readonly string[] s_pieces =
    [
        "AuthMethod=CHAP", "AuthMethod=CHAP,None", "AuthMethod=None", "AuthMethod=", "CHAP_A=7", "CHAP_A=5,6,7,8", "CHAP_A=", "CHAP_A=9999999999",
        "CHAP_N=alice", "CHAP_N=", "CHAP_N=bob", "CHAP_R=0x00", "CHAP_R=0x", "CHAP_R=0bAAAA", "CHAP_I=16", "CHAP_I=1", "CHAP_I=-1", "CHAP_C=0x10111213",
        "CHAP_C=0x101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f", "CHAP_C=0b", "HeaderDigest=CRC32C", "SessionType=Discovery", "SessionType=Normal",
        $"TargetName={Node.TargetName}", "TargetName=iqn.x", "InitiatorName=iqn.2026-11.example:other", "X-com.example.Key=1", "=", "CHAP_R",
    ];

    [Theory]
    [InlineData(20261127)]
    [InlineData(11)]
    public void Nobody_gets_a_session_who_does_not_know_a_secret(int seed) => Assert.Equal(0, Run(seed, knowsSecret: false));

    /// <summary>The requests lead as far as a session, if only they can: else the other test would prove nothing.</summary>
    [Fact]
    public void Who_knows_a_secret_gets_one_now_and_then() => Assert.InRange(Run(5, knowsSecret: true), 100, Logins);

    static int Run(int seed, bool knowsSecret)
    {
        Random random = new(seed);
        int sessions = 0;
        for (int login = 0; login < Logins; login++)
        {
            Node node = ChapRig.Node();
            var initiator = new Initiator(node, (Cut)random.Next(3), seed);
            try
            {
                int stage = random.Next(8) == 0 ? 1 : 0;
                for (int step = 0; step < 6 && !initiator.Connection.ShouldClose && initiator.Connection.Session is null; step++)
                {
                    Step(random, initiator, step, ref stage, knowsSecret);
                }
            }
            catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"seed {seed}, login {login}", exception);
            }

            sessions += node.Server.Sessions.Count;
            initiator.Connection.Closed();
        }

        return sessions;
    }

    static void Step(Random random, Initiator initiator, int step, ref int stage, bool knowsSecret)
    {
        List<string> keys = step == 0 ? [.. Initiator.Names] : [];
        if (random.Next(3) > 0)
        {
            string answer = ChapRig.Answer(knowsSecret ? ChapRig.Secret : "something else");
            keys.AddRange(step switch
            {
                0 => ["AuthMethod=CHAP"],
                1 => ["CHAP_A=7"],
                2 => [$"CHAP_N={ChapRig.User}", answer],
                _ => [],
            });
        }

        while (random.Next(4) == 0)
        {
            keys.Insert(random.Next(keys.Count + 1), s_pieces[random.Next(s_pieces.Length)]);
        }

        int next = random.Next(6) switch { 0 => 3, 1 => 2, _ => stage == 0 ? 1 : 3 };
        bool transit = random.Next(2) == 0;
        initiator.SendLogin(stage, next, transit, Initiator.Text([.. keys]), @continue: random.Next(20) == 0);
        foreach (Pdu answer in initiator.Receive())
        {
            stage = answer.Login is { Transit: true, Status: 0 } ? answer.Login.NextStage : stage;
        }

        stage = random.Next(30) == 0 ? random.Next(4) : stage;
    }
}
