using System;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Commands;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Kernels;

namespace Blanket.Cli;

/// <summary>The command <c>./blanket</c>.</summary>
internal static class Program
{
    private static async Task<int> Main(string[] arguments)
    {
        Report report = new();
        RootCommand root = new("Blanket runs Xen PV guests inside an ordinary virtual machine.")
        {
            RunCommand.Create(report),
            BuildCommand.Create(report),
            DoctorCommand.Create(report),
            DebugCommand.Create(report),
            BundleCommand.Create(report),
            ImageCommand.Create(report),
            BenchCommand.Create(report),
            ListCommand.Create(report),
            AuditCommand.Create(report),
            MemoryPolicyCommand.Create(report),
            ShutdownCommand.Create(report),
            StartCommand.Create(report),
            TopCommand.Create(report),
            DevicesCommand.Create(report),
            ConsoleCommand.Create(report),
        };
        foreach (Command command in (Command[])[.. GuestCommands.Create(report), .. LogCommands.Create(report)])
        {
            root.Add(command);
        }

        ParseResult result = root.Parse(arguments);
        if (result.Errors.Count > 0)
        {
            foreach (ParseError error in result.Errors)
            {
                report.Error(error.Message);
            }

            report.Error("see ./blanket --help");
            return ExitStatus.BadInput;
        }

        return await InvokeAsync(result, report).ConfigureAwait(false);
    }

    private static async Task<int> InvokeAsync(ParseResult result, Report report)
    {
        using CancellationTokenSource end = new();
        bool isDebugger = result.CommandResult.Command.Name == DebugCommand.Name;
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            if (!isDebugger)
            {
                // With a debugger, Ctrl-C stops the hypervisor and not this process.
                end.Cancel();
            }
        });
        using PosixSignalRegistration termination = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, End);
        try
        {
            // Signals are dealt with here: the library would end the process before the machine is cleaned up.
            InvocationConfiguration configuration = new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return await result.InvokeAsync(configuration, end.Token).ConfigureAwait(false);
        }
        catch (InputException e)
        {
            report.Error(e.Message);
            return ExitStatus.BadInput;
        }
        catch (Exception e) when (e is HostException or KernelException or IOException or UnauthorizedAccessException)
        {
            report.Error(e.Message);
            return ExitStatus.HostFailure;
        }
        catch (OperationCanceledException)
        {
            report.Error("interrupted");
            return ExitStatus.Interrupted;
        }

        void End(PosixSignalContext signal)
        {
            signal.Cancel = true;
            end.Cancel();
        }
    }
}
