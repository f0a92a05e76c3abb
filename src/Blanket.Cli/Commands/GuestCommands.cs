using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Commands;

/// <summary><c>pause</c>, <c>unpause</c>, <c>stop</c>, <c>reboot</c>, <c>destroy</c>, <c>mem-set</c>, <c>vcpu-set</c>: one request about one guest.</summary>
internal static class GuestCommands
{
    private const int PollMilliseconds = 100;
    private const int MaximumMemoryMiB = 1 << 24;

    internal static IEnumerable<Command> Create()
    {
        yield return Simple("pause", "Keep a guest off the CPUs.", ManagementCommand.Pause, isWaited: false);
        yield return Simple("unpause", "Let a paused guest go on.", ManagementCommand.Unpause, isWaited: false);
        yield return Simple("stop", "Ask a guest to power off, and wait until it is gone.", ManagementCommand.PowerOff, isWaited: true);
        yield return Simple("reboot", "Ask a guest to reboot.", ManagementCommand.Reboot, isWaited: false);
        yield return Simple("destroy", "End a guest at once, without its help.", ManagementCommand.Destroy, isWaited: true);
        yield return Numbered("mem-set", "MIB", "Set the memory that a guest is to have (its balloon driver follows).", ManagementCommand.SetMemory, 1024, MaximumMemoryMiB);
        yield return Numbered("vcpu-set", "COUNT", "Set how many vCPUs of a guest are to be online.", ManagementCommand.SetVcpus, 1, (int)BootBundle.MaximumVcpus);
    }

    private static Command Simple(string name, string description, ManagementCommand request, bool isWaited)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> guest = InstanceCommand.GuestArgument();
        Option<int> timeout = new("--timeout") { Description = "How long to wait until it is gone; 0 not to wait.", HelpName = "SECONDS", DefaultValueFactory = _ => 120 };
        Command command = new(name, description) { guest, instance };
        if (isWaited)
        {
            command.Add(timeout);
        }

        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            async (_, client) =>
            {
                string which = arguments.GetRequiredValue(guest);
                ushort? domain = isWaited ? await FindAsync(client, which, cancellation).ConfigureAwait(false) : null;
                await client.ChangeAsync(request, which, 0, cancellation).ConfigureAwait(false);
                int seconds = isWaited ? arguments.GetValue(timeout) : 0;
                if (seconds > 0)
                {
                    await AwaitEndAsync(client, which, domain, seconds, cancellation).ConfigureAwait(false);
                }
            },
            cancellation));
        return command;
    }

    private static Command Numbered(string name, string unit, string description, ManagementCommand request, ulong scale, int maximum)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> guest = InstanceCommand.GuestArgument();
        Argument<int> value = new(unit) { Description = FormattableString.Invariant($"1 to {maximum}.") };
        value.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out int number) && (number < 1 || number > maximum))
            {
                result.AddError(FormattableString.Invariant($"{unit} is {number}, expected 1 to {maximum}"));
            }
        });
        Command command = new(name, description) { guest, value, instance };
        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            (_, client) => client.ChangeAsync(request, arguments.GetRequiredValue(guest), (ulong)arguments.GetRequiredValue(value) * scale, cancellation),
            cancellation));
        return command;
    }

    private static async Task<ushort?> FindAsync(ManagementClient client, string name, CancellationToken cancellation) =>
        (await client.ListAsync(cancellation).ConfigureAwait(false))
            .Where(guest => ManagementClient.NameOf(guest.Name) == name)
            .Select(guest => (ushort?)guest.DomainId)
            .FirstOrDefault();

    /// <summary>Waits until a guest's domain is gone, or another has taken its place; a machine that ends with its last guest counts, too.</summary>
    private static async Task AwaitEndAsync(ManagementClient client, string name, ushort? domain, int seconds, CancellationToken cancellation)
    {
        DateTime end = DateTime.UtcNow.AddSeconds(seconds);
        try
        {
            while (await FindAsync(client, name, cancellation).ConfigureAwait(false) is ushort id && id == domain)
            {
                if (DateTime.UtcNow > end)
                {
                    throw new TimeoutException();
                }

                await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
            }
        }
        catch (TimeoutException)
        {
            throw new HostException($"{name} is still there after {seconds} s");
        }
        catch (HostException)
        {
            // The machine powers off with its last guest.
        }
    }
}
