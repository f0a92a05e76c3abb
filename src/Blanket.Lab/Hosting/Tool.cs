using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Lab.Hosting;

/// <summary>Result of a program that ran to its end.</summary>
/// <param name="ExitCode">Its exit status.</param>
/// <param name="Output">What it wrote to standard output.</param>
/// <param name="Error">What it wrote to standard error.</param>
public sealed record ToolResult(int ExitCode, byte[] Output, string Error)
{
    /// <summary>Standard output as text.</summary>
    public string Text => System.Text.Encoding.UTF8.GetString(Output);
}

/// <summary>Runs programs of the host.</summary>
public static class Tool
{
    /// <summary>Runs a program to its end with the given standard input.</summary>
    /// <param name="program">Name, looked up in PATH, or path.</param>
    /// <param name="arguments">Its arguments, passed as they are.</param>
    /// <param name="input">Its standard input.</param>
    /// <param name="directory">Its working directory; null for that of this process.</param>
    /// <param name="lastWords">The program is killed when a line of its standard error begins so: it would not end by itself.</param>
    /// <param name="onLine">Takes each line of its standard output, which the result then does not have.</param>
    /// <param name="cancellation">Kills the program.</param>
    /// <exception cref="HostException">The program does not exist.</exception>
    public static async Task<ToolResult> RunAsync(
        string program,
        IEnumerable<string> arguments,
        ReadOnlyMemory<byte> input = default,
        string? directory = null,
        string? lastWords = null,
        Action<string>? onLine = null,
        CancellationToken cancellation = default)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? string.Empty,
        };
        start.Environment["LC_ALL"] = "C";
        using Process process = Start(start);
        using CancellationTokenRegistration kill = cancellation.Register(() => Kill(process));
        using MemoryStream output = new();
        Task copy = onLine is null
            ? process.StandardOutput.BaseStream.CopyToAsync(output, CancellationToken.None)
            : ReadLinesAsync(process.StandardOutput, onLine);
        Task<string> error = ReadErrorAsync(process, lastWords);
        await FeedAsync(process, input).ConfigureAwait(false);
        await copy.ConfigureAwait(false);
        string errorText = await error.ConfigureAwait(false);
        await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
        return new ToolResult(process.ExitCode, output.ToArray(), errorText);
    }

    private static async Task ReadLinesAsync(StreamReader reader, Action<string> onLine)
    {
        while (await reader.ReadLineAsync(CancellationToken.None).ConfigureAwait(false) is string line)
        {
            onLine(line);
        }
    }

    private static async Task<string> ReadErrorAsync(Process process, string? lastWords)
    {
        StringBuilder text = new();
        while (await process.StandardError.ReadLineAsync(CancellationToken.None).ConfigureAwait(false) is string line)
        {
            text.Append(line).Append('\n');
            if (lastWords is not null && line.StartsWith(lastWords, StringComparison.Ordinal))
            {
                Kill(process);
            }
        }

        return text.ToString();
    }

    /// <summary>Runs a program that must succeed.</summary>
    /// <exception cref="HostException">The program does not exist or its exit status is not 0.</exception>
    public static async Task<ToolResult> RequireAsync(
        string program,
        IEnumerable<string> arguments,
        ReadOnlyMemory<byte> input = default,
        string? directory = null,
        Action<string>? onLine = null,
        CancellationToken cancellation = default)
    {
        ToolResult result = await RunAsync(program, arguments, input, directory, onLine: onLine, cancellation: cancellation).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result
            : throw new HostException($"{program} {string.Join(' ', arguments)} failed with status {result.ExitCode}: {LastLine(result.Error)}");
    }

    /// <summary>Runs a program that must succeed as root: by sudo when this is another user.</summary>
    /// <exception cref="HostException">The program does not exist, its exit status is not 0, or sudo refused.</exception>
    public static Task<ToolResult> RequireAsRootAsync(string program, IEnumerable<string> arguments, CancellationToken cancellation) =>
        Environment.UserName == "root"
            ? RequireAsync(program, arguments, cancellation: cancellation)
            : RequireAsync("sudo", [program, .. arguments], cancellation: cancellation);

    /// <summary>The path of a program in PATH, or null.</summary>
    public static string? Find(string program)
    {
        foreach (string directory in (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(':', StringSplitOptions.RemoveEmptyEntries))
        {
            string path = Path.Combine(directory, program);
            if (File.Exists(path))
            {
                return path;
            }
        }

        return null;
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new HostException($"{start.FileName} cannot be started ({e.Message}); ./blanket doctor says what is missing");
        }
    }

    /// <summary>Writes the input; a program that ends early closes the pipe, and its exit status says whether that was right.</summary>
    private static async Task FeedAsync(Process process, ReadOnlyMemory<byte> input)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(input).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
        }
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }
    }

    private static string LastLine(string text) =>
        text.TrimEnd().Split('\n')[^1];
}
