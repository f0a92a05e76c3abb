using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Commands;

/// <summary><c>pause</c>, <c>unpause</c>, <c>stop</c>, <c>reboot</c>, <c>destroy</c>, <c>mem-set</c>, <c>mem-min</c>, <c>vcpu-set</c>, <c>vcpu-pin</c>: one request about one guest.</summary>
internal static class GuestCommands
{
    private const int PollMilliseconds = 100;
    private const int MaximumMemoryMiB = 1 << 24;

    internal static IEnumerable<Command> Create(Report report)
    {
        yield return Simple("pause", "Keep a guest off the CPUs.", ManagementCommand.Pause, isWaited: false, report);
        yield return Simple("unpause", "Let a paused guest go on.", ManagementCommand.Unpause, isWaited: false, report);
        yield return Simple("stop", "Ask a guest to power off, and wait until it is gone.", ManagementCommand.PowerOff, isWaited: true, report);
        yield return Simple("reboot", "Ask a guest to reboot.", ManagementCommand.Reboot, isWaited: false, report);
        yield return Simple("destroy", "End a guest at once, without its help.", ManagementCommand.Destroy, isWaited: true, report);
        yield return Numbered("mem-set", "MIB", "Set the memory that a guest is to have (its balloon driver follows).", ManagementCommand.SetMemory, 1024, MaximumMemoryMiB, report);
        yield return Numbered("mem-min", "MIB", "Set the memory that a guest keeps when others need some (memory_min of its configuration).", ManagementCommand.SetMinimum, 1024, MaximumMemoryMiB, report);
        yield return Numbered("vcpu-set", "COUNT", "Set how many vCPUs of a guest are to be online.", ManagementCommand.SetVcpus, 1, (int)BootBundle.MaximumVcpus, report);
        yield return Pin(report);
    }

    private static Command Pin(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> guest = InstanceCommand.GuestArgument();
        Argument<string> vcpu = new("VCPU") { Description = "Its number, or \"all\"." };
        Argument<string> cpus = new("CPUS") { Description = "As in xl.cfg(5): \"all\", \"0-3,5,^1\"." };
        Command command = new("vcpu-pin", "Set the CPUs that a vCPU of a guest may run on.") { guest, vcpu, cpus, instance };
        command.SetAction((arguments, cancellation) =>
        {
            string which = arguments.GetRequiredValue(vcpu);
            string list = arguments.GetRequiredValue(cpus);
            ulong number = ManagementPin.AllVcpus;
            if (which != "all" && !(ulong.TryParse(which, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number < BootBundle.MaximumVcpus))
            {
                throw new InputException($"VCPU is '{which}', expected \"all\" or 0 to {BootBundle.MaximumVcpus - 1}");
            }

            CpuSet set = CpuSet.TryParse(list) ?? throw new InputException($"CPUS is '{list}', expected for instance \"all\" or \"0-3,5,^1\"");
            return InstanceCommand.RunAsync(
                arguments.GetValue(instance), (_, client) => client.PinAsync(arguments.GetRequiredValue(guest), number, set, cancellation), report, cancellation);
        });
        return command;
    }

    private static Command Simple(string name, string description, ManagementCommand request, bool isWaited, Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> guest = InstanceCommand.GuestArgument();
        Option<int> timeout = new("--timeout") { Description = "How long to wait until it is gone; 0 not to wait.", HelpName = "SECONDS", DefaultValueFactory = _ => 120 };
        Command command = new(name, description) { guest, instance };
        if (isWaited)
        {
            command.Add(timeout);
        }

        command.SetAction(async (arguments, cancellation) =>
        {
            string which = arguments.GetRequiredValue(guest);
            Instance? asked = null;
            ushort? domain = null;
            await InstanceCommand.RunAsync(
                arguments.GetValue(instance),
                async (found, client) =>
                {
                    asked = found;
                    domain = await FindAsync(client, which, cancellation).ConfigureAwait(false);
                    await client.ChangeAsync(request, which, 0, cancellation).ConfigureAwait(false);
                },
                report,
                cancellation).ConfigureAwait(false);
            int seconds = isWaited ? arguments.GetValue(timeout) : 0;
            if (seconds > 0)
            {
                await AwaitEndAsync(asked!, which, domain, seconds, cancellation).ConfigureAwait(false);
            }

            return ExitStatus.Success;
        });
        return command;
    }

    private static Command Numbered(string name, string unit, string description, ManagementCommand request, ulong scale, int maximum, Report report)
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
            report,
            cancellation));
        return command;
    }

    private static async Task<ushort?> FindAsync(ManagementClient client, string name, CancellationToken cancellation) =>
        (await client.ListAsync(cancellation).ConfigureAwait(false))
            .Where(guest => ManagementClient.NameOf(guest.Name) == name)
            .Select(guest => (ushort?)guest.DomainId)
            .FirstOrDefault();

    /// <summary>
    /// Waits until a guest's domain is gone, or another has taken its place, and takes away what the machine had for it; a machine that ends with
    /// its last guest counts, too. Other commands have their turn meanwhile.
    /// </summary>
    private static async Task AwaitEndAsync(Instance instance, string name, ushort? domain, int seconds, CancellationToken cancellation)
    {
        DateTime end = DateTime.UtcNow.AddSeconds(seconds);
        while (!await IsGoneAsync(instance, name, domain, cancellation).ConfigureAwait(false))
        {
            if (DateTime.UtcNow > end)
            {
                throw new HostException($"{name} is still there after {seconds} s");
            }

            await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
        }
    }

    private static async Task<bool> IsGoneAsync(Instance instance, string name, ushort? domain, CancellationToken cancellation)
    {
        try
        {
            using ManagementClient client = await ManagementClient.ConnectAsync(instance, static () => { }, cancellation).ConfigureAwait(false);
            if (await FindAsync(client, name, cancellation).ConfigureAwait(false) is ushort id && id == domain)
            {
                return false;
            }

            using GuestParts machine = await GuestParts.OpenAsync(instance, cancellation).ConfigureAwait(false);
            await StartCommand.ReleaseAsync(client, machine, cancellation).ConfigureAwait(false);
            return true;
        }
        catch (HostException)
        {
            // The machine powers off with its last guest.
            return true;
        }
    }
}
