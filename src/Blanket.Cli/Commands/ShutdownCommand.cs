using System;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Commands;

/// <summary><c>shutdown</c>: ends an instance.</summary>
internal static class ShutdownCommand
{
    private const int PollMilliseconds = 100;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Command command = new("shutdown", "End all guests of an instance at once, then its machine.") { instance };
        command.SetAction(async (arguments, cancellation) =>
        {
            string name = Instance.Find(arguments.GetValue(instance)).Name;
            await InstanceCommand.RunAsync(name, (_, client) => RequestAsync(client, cancellation), report, cancellation).ConfigureAwait(false);
            DateTime end = DateTime.UtcNow + s_patience;
            while (Instance.FindAll().Any(running => running.Name == name))
            {
                if (DateTime.UtcNow > end)
                {
                    throw new HostException($"instance {name} is still there after {s_patience.TotalSeconds} s");
                }

                await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
            }

            return ExitStatus.Success;
        });
        return command;
    }

    private static async Task RequestAsync(ManagementClient client, CancellationToken cancellation)
    {
        try
        {
            await client.ShutDownAsync(cancellation).ConfigureAwait(false);
        }
        catch (HostException)
        {
            // It was gone before its answer was here; whether it really is gone is seen next.
        }
    }
}
