using System;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.IO;
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
        };
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
        try
        {
            return await result.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false }).ConfigureAwait(false);
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
    }
}
