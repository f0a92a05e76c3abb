using System.CommandLine;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.BootDisks;
using Blanket.Lab.Bundles;

namespace Blanket.Cli.Commands;

/// <summary><c>bundle</c>: writes a boot bundle without running anything.</summary>
internal static class BundleCommand
{
    internal static Command Create(Report report)
    {
        Argument<string[]> guests = new("GUEST.cfg") { Description = "Guest configurations in xl.cfg(5) syntax.", Arity = ArgumentArity.OneOrMore };
        Option<string> output = new("--output", "-o") { Description = "The file to write.", HelpName = "FILE", Required = true };
        Option<string> options = new("--options") { Description = "Options for Blanket itself.", HelpName = "TEXT", DefaultValueFactory = _ => string.Empty };
        Option<bool> disk = new("--disk") { Description = "Write a disk image that boots: GRUB for BIOS and for UEFI, blanket.elf and the bundle." };
        Command command = new("bundle", "Write a boot bundle: guests with their kernels, to be booted with blanket.elf.") { guests, output, options, disk };
        command.SetAction(async (arguments, cancellation) =>
        {
            MachinePlan plan = BundleBuilder.Plan(arguments.GetRequiredValue(guests), report.Warning);
            byte[] bundle = await BundleBuilder.BuildAsync(plan, arguments.GetRequiredValue(options), cancellation).ConfigureAwait(false);
            string file = arguments.GetRequiredValue(output);
            await WriteAsync(arguments.GetValue(disk), bundle, file, report, cancellation).ConfigureAwait(false);
            report.Line($"{file}: {plan.Guests.Count} guests, {bundle.Length >> 20} MiB");
            foreach (PlannedDisk planned in plan.Disks)
            {
                report.Line($"disk with serial {planned.Serial}: {planned.Specification.Target}");
            }

            for (int i = 0; i < plan.Bridges.Count; i++)
            {
                report.Line($"NIC {i}: bridge {plan.Bridges[i]}");
            }

            return ExitStatus.Success;
        });
        return command;
    }

    private static async Task WriteAsync(bool bootable, byte[] bundle, string file, Report report, CancellationToken cancellation)
    {
        if (bootable)
        {
            await ImageBuilder.EnsureAsync(report, cancellation).ConfigureAwait(false);
            await BootDisk.WriteAsync(Project.Image, bundle, file, cancellation).ConfigureAwait(false);
        }
        else
        {
            await File.WriteAllBytesAsync(file, bundle, cancellation).ConfigureAwait(false);
        }
    }
}
