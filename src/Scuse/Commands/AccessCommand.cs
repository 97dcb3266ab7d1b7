using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse access</c>: who may log in to a running engine.</summary>
static class AccessCommand
{
    public static Command Create() => new("access", "Change who may log in to a running engine") { new ReloadCommand() };

    sealed class ReloadCommand() : ControlCommand("reload", "Have it read its --chap-file again; sessions of users that are no longer there are dropped")
    {
        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            string text = await engine!.PostAsync("access/reload", null, cancellation);
            if (asJson)
            {
                Console.Write(text);
                return;
            }

            AccessStatus access = ControlClient.Parse(text, ControlJson.Default.AccessStatus);
            if (access.Targets.Count != 1)
            {
                foreach (TargetUsers target in access.Targets)
                {
                    Console.WriteLine($"{target.Target} asks for one of {target.Users} users");
                }

                Console.WriteLine($"discovery asks for one of {access.DiscoveryUsers}; 0: it asks nobody");
                return;
            }

            Console.WriteLine($"the target asks for one of {access.Users} users, discovery for one of {access.DiscoveryUsers}; 0: it asks nobody");
        }
    }
}
