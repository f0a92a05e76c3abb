using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Running;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Cli.Commands;

/// <summary><c>debug</c>: a run that waits for gdb, and gdb on its first instruction.</summary>
internal static class DebugCommand
{
    /// <summary>What the user types.</summary>
    internal const string Name = "debug";

    private const string Debugger = "gdb";

    internal static Command Create(Report report)
    {
        RunOptions shared = new();
        Command command = new(Name, "Run guests under gdb, with the symbols and C# lines of blanket.elf.");
        shared.AddTo(command);
        command.SetAction((arguments, cancellation) => DebugAsync(shared.Read(arguments), report, cancellation));
        return command;
    }

    private static async Task<int> DebugAsync(RunSettings settings, Report report, CancellationToken cancellation)
    {
        if (settings.Xen is not null)
        {
            throw new InputException("--l0 xen: gdb would see Xen and not Blanket, expected --l0 kvm");
        }

        if (Tool.Find(Debugger) is null)
        {
            throw new HostException("gdb is missing (Debian package gdb)");
        }

        string directory = Path.Combine(Project.Root, "artifacts", "debug");
        RunSettings headless = settings with { Headless = true, ConsoleDirectory = directory };
        using PreparedRun prepared = await PreparedRun.CreateAsync(headless, report, cancellation).ConfigureAwait(false);
        int port = FreePort();
        prepared.ListenForDebugger(port);
        report.Line($"consoles are written to {directory}");

        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using HeadlessRun run = new(headless, report);
        Task<int> machine = run.RunAsync(prepared, end.Token);
        using Process gdb = Process.Start(new ProcessStartInfo(Debugger, GdbArguments(port)))!;
        await gdb.WaitForExitAsync(cancellation).ConfigureAwait(false);
        await end.CancelAsync().ConfigureAwait(false);
        try
        {
            return await machine.ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return ExitStatus.Success;
        }
    }

    /// <summary>Hardware breakpoints work before the page tables that map the code exist; software ones do not.</summary>
    private static IEnumerable<string> GdbArguments(int port) =>
    [
        "-q", Project.Image,
        "-ex", "set architecture i386:x86-64",
        "-ex", $"directory {Project.Root}",
        "-ex", $"target remote 127.0.0.1:{port}",
    ];

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
