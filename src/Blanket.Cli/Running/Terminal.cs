using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;

namespace Blanket.Cli.Running;

/// <summary>The user's terminal in raw mode: every key goes to the guest. Restored on disposal and when a signal ends this process.</summary>
internal sealed class Terminal : IDisposable
{
    private readonly string _saved;
    private readonly PosixSignalRegistration[] _signals;
    private int _restored;

    private Terminal(string saved)
    {
        _saved = saved;
        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Restore()),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, _ => Restore()),
            PosixSignalRegistration.Create(PosixSignal.SIGQUIT, _ => Restore()),
        ];
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
    }

    /// <summary>Keys, byte by byte.</summary>
    internal Stream Input { get; } = Console.OpenStandardInput();

    /// <summary>What the user sees.</summary>
    internal Stream Output { get; } = Console.OpenStandardOutput();

    /// <summary>Whether standard input and output are a terminal.</summary>
    internal static bool IsPresent => !Console.IsInputRedirected && !Console.IsOutputRedirected;

    /// <summary>Puts the terminal into raw mode.</summary>
    internal static Terminal Open()
    {
        Terminal terminal = new(Stty(["-g"]).Trim());
        Stty(["raw", "-echo"]);
        return terminal;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Restore();
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        foreach (PosixSignalRegistration signal in _signals)
        {
            signal.Dispose();
        }
    }

    /// <summary>stty works on its standard input, which is inherited.</summary>
    private static string Stty(string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("stty", arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return output;
    }

    private void OnProcessExit(object? sender, EventArgs arguments) => Restore();

    private void Restore()
    {
        if (Interlocked.Exchange(ref _restored, 1) == 0)
        {
            Stty([_saved]);
        }
    }
}
