using System;
using System.CommandLine;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Running;
using Blanket.Lab.Configuration;

namespace Blanket.Cli.Commands;

/// <summary><c>run</c>: boots Blanket in a QEMU machine and guests on it.</summary>
internal static class RunCommand
{
    private const int MaximumSeconds = 7 * 24 * 3600;

    internal static Command Create(Report report)
    {
        RunOptions shared = new();
        Option<bool> headless = new("--headless")
        {
            Description = "No terminal. Exit status: 0 every guest powered off by itself, 3 a guest crashed, 4 Blanket panicked, 5 time-out, 2 bad input.",
        };
        Option<string?> consoles = new("--console-dir") { Description = "Write each guest's console to DIR/NAME.log and Blanket's to DIR/blanket.log.", HelpName = "DIR" };
        Option<int?> timeout = new("--timeout") { Description = "End the run after this time.", HelpName = "SECONDS" };
        Option<bool> native = new("--native") { Description = "Boot the guest's kernel itself, without Blanket.", Hidden = true };
        Option<bool> detach = new("--detach") { Description = "Leave the run in the background, headless; its name is printed when the guests were started." };
        timeout.Validators.Add(result => RunOptions.RequireRange(result, 1, MaximumSeconds));
        Command command = new("run", "Run guests on Blanket in a QEMU virtual machine.") { headless, consoles, timeout, native, detach };
        shared.AddTo(command);
        command.SetAction((arguments, cancellation) =>
        {
            if (arguments.GetValue(detach))
            {
                return DetachedRun.StartAsync(arguments.Tokens, report, cancellation);
            }

            RunSettings settings = shared.Read(arguments) with
            {
                Headless = arguments.GetValue(headless),
                ConsoleDirectory = arguments.GetValue(consoles),
                Timeout = arguments.GetValue(timeout) is int seconds ? TimeSpan.FromSeconds(seconds) : null,
                Native = arguments.GetValue(native),
            };
            return RunAsync(settings, report, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(RunSettings settings, Report report, CancellationToken cancellation)
    {
        RequirePossible(settings);
        using PreparedRun prepared = await PreparedRun.CreateAsync(settings, report, cancellation).ConfigureAwait(false);
        if (!settings.Headless)
        {
            return await new InteractiveRun(settings, report).RunAsync(prepared, cancellation).ConfigureAwait(false);
        }

        using HeadlessRun run = new(settings, report);
        return await run.RunAsync(prepared, cancellation).ConfigureAwait(false);
    }

    private static void RequirePossible(RunSettings settings)
    {
        if (!settings.Headless && !Terminal.IsPresent)
        {
            throw new InputException("standard input and output are not a terminal, expected --headless");
        }

        if (!settings.Headless && settings.ConsoleDirectory is not null)
        {
            throw new InputException("--console-dir goes with --headless: without it the terminal is the console");
        }

        if (settings.ConsoleDirectory is string directory && File.Exists(directory))
        {
            throw new InputException($"--console-dir {directory} is a file, expected a directory");
        }
    }
}
