using System.CommandLine;

namespace Blanket.Cli.Commands;

/// <summary><c>build</c>: makes blanket.elf.</summary>
internal static class BuildCommand
{
    internal static Command Create(Report report)
    {
        Command command = new("build", "Build blanket.elf, the image that boots in the L0 machine.");
        command.SetAction(async (_, cancellation) =>
        {
            await ImageBuilder.BuildAsync(report, cancellation).ConfigureAwait(false);
            report.Line(Project.Image);
            return ExitStatus.Success;
        });
        return command;
    }
}
